"""From a region and the ways to violate a claim to a `Property`: over one network, or over two that share inputs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from verifier.errors import Location, PropertyError
from verifier.property import dnf
from verifier.property.declarations import REAL_TYPE, Declarations, Kind, Network, Variable
from verifier.property.disjuncts import LOWER, UPPER, Property, Row
from verifier.property.dnf import Arm, Bounds
from verifier.property.expression import NumberTable
from verifier.property.templates.region import Extent, Interface, Shape

LANGUAGE = "template"
"""The version of a `Property` that a template made."""

FIRST, SECOND = "f", "g"
"""Names of the networks, or copies, of a property of two."""


@dataclass(frozen=True)
class Origin:
    """Where a property comes from. part: which of several in the file; line: of the file, 0 where there is none; sha256: of the file."""

    source: str = "<python>"
    sha256: str = ""
    part: str = ""
    line: int = 0

    @property
    def location(self) -> Location:
        return Location(self.source, self.line or None, detail=self.part or None)


@dataclass(frozen=True)
class Case:
    """One way to violate: all rows hold. They speak of inputs in the user's units; `values` fixes joint inputs beside the region."""

    rows: tuple[Row, ...]
    values: Mapping[int, Fraction] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Joint:
    """Two networks over n features each: the second has a feature of its own where `own` says so and shares the others.

    Joint input i < n is feature i of the first network, n + k feature own[k] of the second; joint outputs are those of both in turn.
    equal: the second is the first once more.
    """

    first: Interface
    second: Interface
    own: tuple[int, ...]
    equal: bool

    def other(self, feature: int) -> int:
        """The joint input that the second network reads as `feature`."""
        return self.first.features + self.own.index(feature)

    def score(self, network: int, output: int) -> int:
        """The joint output that is `output` of the first (0) or second (1) network."""
        return output + network * self.first.scores

    @property
    def declarations(self) -> Declarations:
        n = self.first.features
        second = np.arange(n)
        second[list(self.own)] = n + np.arange(len(self.own))
        starts = [0, 0]
        first = _network(FIRST, "", self.first, starts)
        networks = first, _network(SECOND, FIRST if self.equal else "", self.second, starts)
        return Declarations(networks, np.concatenate([np.arange(n), second]))


def declared(interface: Interface) -> Declarations:
    """Of one network."""
    return Declarations((_network(FIRST, "", interface, [0, 0]),), np.arange(interface.features))


def _network(name: str, equal_to: str, interface: Interface, starts: list[int]) -> Network:
    variables = _variables(name, "input", interface.inputs, starts) + _variables(name, "output", interface.outputs, starts)
    return Network(name, equal_to, "", variables)


def _variables(network: str, kind: Kind, shapes: Sequence[Shape], starts: list[int]) -> tuple[Variable, ...]:
    """starts: the next free offset of inputs and of outputs, which moves on."""
    side, found = ("input", "output").index(kind), []
    for k, shape in enumerate(shapes):
        name = f"{'XY'[side]}{network}" + (str(k) if len(shapes) > 1 else "")
        found.append(Variable(network, name, kind, REAL_TYPE, shape, starts[side]))
        starts[side] += math.prod(shape)
    return tuple(found)


def single(extent: Extent, interface: Interface, cases: Iterable[Case], origin: Origin) -> Property:
    """About one network. Raises PropertyError V213 for more cases than the search can hold."""
    return _assemble(extent, extent.lower, extent.upper, list(range(interface.features)), interface.scores, cases, origin, None)


def joint(extent: Extent, networks: Joint, cases: Iterable[Case], origin: Origin) -> Property:
    """About two networks, both of them with inputs in the region. Raises PropertyError V213 as `single`."""
    features = [*range(networks.first.features), *networks.own]
    if extent.ball is not None and networks.own:
        message, hint = f"the inputs of two copies do not lie in one ball of the norm {extent.ball.norm}", "use the norm linf"
        raise PropertyError(message, code="V226", location=origin.location, hint=hint)
    lower, upper = ([side[i] for i in features] for side in (extent.lower, extent.upper))
    outputs = networks.first.scores + networks.second.scores
    return _assemble(extent, lower, upper, features, outputs, cases, origin, networks.declarations)


def _assemble(
    extent: Extent,
    lower: Sequence[Fraction],
    upper: Sequence[Fraction],
    features: Sequence[int],
    outputs: int,
    cases: Iterable[Case],
    origin: Origin,
    declarations: Declarations | None,
) -> Property:
    """features: of which joint inputs are, each with its own normalisation."""
    numbers = NumberTable()

    def bound(i: int, value: Fraction) -> int:
        return numbers.add(extent.normalised(features[i], value))

    def arm(case: Case) -> Arm:
        rows = [_normalised(row, extent, features, origin) for row in case.rows]
        found = {2 * i + side: bound(i, value) for i, value in case.values.items() for side in (LOWER, UPPER)}
        alone = [row for row in rows if len(row.inputs) == 1 and not row.outputs]
        implied = [Bounds.of(*([k] for k in _implied(row, numbers))) for row in alone]
        bounds = ((Bounds.of(list(found), list(found.values())),) if found else ()) + tuple(implied)
        return Arm(bounds, tuple(row for row in rows if row.strict or row not in alone), origin.line)

    arms = []
    for case in cases:
        arms.append(arm(case))
        _check_size(len(arms), origin)
    if not arms:
        raise PropertyError("the property asks nothing of the outputs", code="V222", location=origin.location)
    ids = [bound(i, side[i]) for i in range(len(features)) for side in (lower, upper)]
    common = Arm((Bounds.of(range(2 * len(features)), ids),), (), origin.line)
    disjuncts = dnf.build(numbers.freeze(), common, arms, len(features), outputs)
    if extent.ball is not None:
        disjuncts = tuple(replace(d, ball=extent.ball) for d in disjuncts)
    centre = None if extent.centre is None else np.array([float(extent.normalised(i, extent.centre[i])) for i in features])
    return Property(
        len(features), outputs, disjuncts, origin.source, origin.sha256, LANGUAGE, (), declarations, part=origin.part, centre=centre
    )


def _check_size(arms: int, origin: Origin) -> None:
    try:
        dnf.check(arms)
    except dnf.TooLarge as error:
        message = f"the disjunctive normal form of the property has {error}"
        raise PropertyError(message, code="V213", location=origin.location) from error


def _normalised(row: Row, extent: Extent, features: Sequence[int], origin: Origin) -> Row:
    """The row over what the networks see: x = std * z + mean."""
    constant, inputs = row.constant, {}
    for i, coefficient in row.inputs.items():
        constant += coefficient * extent.mean[features[i]]
        inputs[i] = coefficient * extent.std[features[i]]
    return replace(row, inputs=inputs, constant=constant, line=origin.line)


def _implied(row: Row, numbers: NumberTable) -> tuple[int, int]:
    """(2 * input + side, position in the numbers) of the bound that a row of one input is; a strict one is more than that."""
    ((i, coefficient),) = row.inputs.items()
    return 2 * i + (UPPER if coefficient > 0 else LOWER), numbers.add(-row.constant / coefficient)
