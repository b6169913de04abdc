"""Properties as VNN-LIB text, read again by the own readers and by the package `vnnlib`."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from verifier.errors import PropertyError
from verifier.property import vnnlib1, vnnlib2, writer
from verifier.property.disjuncts import Property, Row
from verifier.property.templates.assembly import Origin, declared
from verifier.property.templates.kinds import (
    BoundedChange,
    Claim,
    Equivalence,
    Fairness,
    Monotonicity,
    OutputRange,
    Robustness,
    SafeRegion,
)
from verifier.property.templates.region import Ball, Box, Interface

NETWORK = Interface(((1, 3, 1, 1),), ((1, 4),))
SEVERAL = Interface(((1, 2), (1,)), ((), (3,)))
BOX = Box([0, "-0.1", "1/3"], [1, "1e-7", "0.7"], mean=["0.1", 0, "1/7"], std=["0.3", 1, "0.7"])
CLAIMS: list[tuple[Claim, int]] = [
    (Robustness(Ball(["0.2", 0.1, "1/3"], "8/255", (0, 1), mean="0.1307", std="0.3081"), 2), 1),
    (Robustness(BOX, 0, target=[1, 3]), 1),
    (OutputRange(BOX, {0: ("-0.1", "1/3"), 2: (None, 5)}), 1),
    (SafeRegion(BOX, safe=["0.1*y[0] - 0.3*y[1] + 0.7*x[2] <= 1"]), 1),
    (SafeRegion(BOX, unsafe=[["y[0] > 1", "x[0] > 0.5"], "y[1] + y[2] - y[3] <= x[1]"]), 1),
    (Monotonicity(BOX, 1, 3, "decreasing", "0.01"), 1),
    (BoundedChange(BOX, ["0.1", 0, "1/3"], "0.5", [1]), 1),
    (Equivalence(BOX, "0.1"), 2),
    (Equivalence(BOX), 2),
    (Fairness(BOX, [2, 0], [["0.5", 0], ["0.4", 1]]), 1),
]


def same(a: Property, b: Property) -> bool:
    """Boxes and rows, these up to a positive factor."""

    def parts(prop: Property) -> Any:
        return [([d.box.exact(i) for i in range(prop.inputs)], [scaled(row) for row in d.rows]) for d in prop.disjuncts]

    return (a.inputs, a.outputs, parts(a)) == (b.inputs, b.outputs, parts(b))


def scaled(row: Row) -> tuple[object, ...]:
    size = next(abs(c) for side in (row.outputs, row.inputs) for _, c in sorted(side.items()))
    inputs, outputs = (sorted((i, c / size) for i, c in side.items()) for side in (row.inputs, row.outputs))
    return inputs, outputs, row.constant / size, row.strict


@pytest.mark.parametrize(("claim", "networks"), CLAIMS)
@pytest.mark.parametrize("interface", [NETWORK, SEVERAL])
def test_the_readers_read_the_same(tmp_path: Path, claim: Claim, networks: int, interface: Interface) -> None:
    prop = claim.build([interface] * networks, Origin())
    path = tmp_path / "q.vnnlib"
    path.write_text(writer.vnnlib2(prop, prop.declarations or declared(interface), ["a comment", "of two\nlines"]))
    again = vnnlib2.read(path)
    assert same(prop, again)
    if prop.declarations is None:
        path.write_text(writer.vnnlib1(prop, ["a comment"]))
        assert same(prop, vnnlib1.read(path))
    else:
        assert again.declarations is not None
        assert again.declarations.networks == prop.declarations.networks
        assert again.declarations.sources.tolist() == prop.declarations.sources.tolist()
        with pytest.raises(PropertyError) as caught:
            writer.vnnlib1(prop)
        assert caught.value.code == "V226"


@pytest.mark.parametrize(("claim", "networks"), CLAIMS)
def test_the_package_vnnlib_reads_it(claim: Claim, networks: int) -> None:
    package = pytest.importorskip("vnnlib")
    prop = claim.build([NETWORK] * networks, Origin())
    query = package.parse_query_string(writer.vnnlib2(prop, prop.declarations or declared(NETWORK)))
    assert [n.name for n in query.networks] == (["f"] if prop.declarations is None else ["f", "g"])
    ties = 0 if prop.declarations is None else 6 - prop.inputs
    assert len(query.assertions) == ties + 2 * prop.inputs + (1 if len(prop.disjuncts) > 1 else len(prop.disjuncts[0].rows))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numerator=st.integers(-(10**30), 10**30), twos=st.integers(0, 149), fives=st.integers(0, 20))
def test_decimals_are_exact(numerator: int, twos: int, fives: int) -> None:
    value = Fraction(numerator, 2**twos * 5**fives)
    text = writer.decimal(value)
    assert Fraction(text) == value and "." in text and "e" not in text
