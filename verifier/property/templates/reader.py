"""Property templates in YAML: `read`.

    network: net.onnx              # or networks: {f: a.onnx, g: b.onnx}
    kind: robustness
    data: {file: digits.npz, samples: [0, 2, 5-9]}
    eps: 8/255
    domain: [0, 1]
    normalisation: {mean: 0.1307, std: 0.3081}

File names are relative to the template. Keys are checked by kind; a template has as many queries as it has samples or features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal, cast

from verifier.documents import compose
from verifier.errors import PropertyError
from verifier.property.disjuncts import Property
from verifier.property.templates import data
from verifier.property.templates.assembly import FIRST, SECOND, Origin
from verifier.property.templates.fields import Field, Table
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
from verifier.property.templates.region import Ball, Box, Interface, Numbers, Region

SUFFIXES = (".yaml", ".yml")
_NETWORKS = "networks"
_REGION = ("kind", "normalisation", "box", "data", "eps", "norm", "domain", "fixed")
_DATA = ("file", "samples", "inputs", "labels", "label_column", "scale", "layout")


@dataclass(frozen=True, eq=False)
class Query:
    """One question of a template."""

    claim: Claim
    origin: Origin

    def build(self, interfaces: Sequence[Interface]) -> Property:
        """interfaces: of the networks, in the order of the template. Raises PropertyError as the claim's `build`, with a place."""
        try:
            return self.claim.build(interfaces, self.origin)
        except PropertyError as error:
            error.location = error.location or self.origin.location
            raise


@dataclass(frozen=True, eq=False)
class Template:
    """networks: the files that the template names, in order; none where it leaves them to the caller. origin: of the template."""

    kind: str
    networks: tuple[Path, ...]
    queries: tuple[Query, ...]
    origin: Origin

    @property
    def names(self) -> tuple[str, ...]:
        """Of the networks that the template is about."""
        return (FIRST, SECOND) if self.kind == "equivalence" else (FIRST,)


def read(path: Path) -> Template:
    """Raises PropertyError: V220 no YAML, V221 unknown key, V222 missing key, V223 another kind of value, V224 out of range, V225 data."""
    root = compose(path, "template", PropertyError, "V220")
    if root is None:
        raise PropertyError("the template is empty", code="V220", location=Origin(str(path)).location, hint="it begins with `kind: ...`")
    whole = Field(root, str(path), "the template")
    kind = _kind(whole)
    table = whole.table((_NETWORKS if kind == "equivalence" else "network", *_REGION, *KINDS[kind][0]))
    origin = Origin(str(path), hashlib.sha256(path.read_bytes()).hexdigest(), "", table.need("kind").line)
    queries = tuple(
        Query(claim, replace(origin, part=", ".join(filter(None, (part, more)))))
        for part, region, label in _regions(table, path.parent)
        for more, claim in KINDS[kind][1](table, region, label)
    )
    if not queries:
        raise table.need("kind").error("the template asks nothing", "V222")
    return Template(kind, _networks(table, path.parent), queries, origin)


def _kind(whole: Field) -> str:
    kinds = [value for _, value in whole.entries() if value.name == "kind"]
    if not kinds:
        names = [value.name for _, value in whole.entries()]
        raise whole.error("the template lacks the key 'kind'", "V222", f"one of {', '.join(KINDS)}; it has: {', '.join(names)}")
    return kinds[0].word(*KINDS)


def _networks(table: Table, folder: Path) -> tuple[Path, ...]:
    one, several = table.get("network"), table.get(_NETWORKS)
    if several is not None:
        named = several.table((FIRST, SECOND))
        return tuple(folder / named.need(name).text() for name in (FIRST, SECOND))
    return () if one is None else (folder / one.text(),)


# -- regions --


def _regions(table: Table, folder: Path) -> Iterator[tuple[str, Region, int | None]]:
    """(part, region, label)."""
    where, scaling = table.one_of("box", "data"), _normalisation(table)
    if where.name == "box":
        for name in ("eps", "norm", "domain", "fixed"):
            if (value := table.get(name)) is not None:
                raise value.error(f"{name} belongs to data; a box says itself how far it reaches", "V221")
        lower, upper = _box(where)
        yield "", Box(lower, upper, *scaling), None
        return
    norm = table.get("norm")
    word = cast(Literal["linf", "l1", "l2"], "linf" if norm is None else norm.word("linf", "l1", "l2"))
    eps, domain, fixed = table.need("eps").numbers(), table.get("domain"), table.get("fixed")
    span = None if domain is None else _box(domain) if domain.kind == "mapping" else _pair(domain)
    for part, sample, label in _samples(where, folder):
        yield part, Ball(sample, eps, span, () if fixed is None else fixed.indices(), *scaling, word), label


def _normalisation(table: Table) -> tuple[Numbers, Numbers]:
    value = table.get("normalisation")
    if value is None:
        return 0, 1
    inner = value.table(("mean", "std"))
    return inner.need("mean").numbers(), inner.need("std").numbers()


def _box(value: Field) -> tuple[Numbers, Numbers]:
    """{lower: ..., upper: ...}, or a list with a pair [least, greatest] a feature."""
    if value.kind == "mapping":
        inner = value.table(("lower", "upper"))
        return inner.need("lower").numbers(), inner.need("upper").numbers()
    pairs = [_pair(item) for item in value.items()]
    return [low for low, _ in pairs], [high for _, high in pairs]


def _pair(value: Field) -> tuple[Fraction, Fraction]:
    numbers = value.numbers()
    if len(numbers) != 2:
        raise value.error(f"{value.name} has {len(numbers)} numbers where [least, greatest] is expected")
    return numbers[0], numbers[1]


def _samples(value: Field, folder: Path) -> Iterator[tuple[str, Numbers, int | None]]:
    table = Table(value, {"file": value}) if value.kind != "mapping" else value.table(_DATA)
    found = _read(table, folder)
    chosen = table.get("samples")
    indices = range(len(found)) if chosen is None or (chosen.kind == "scalar" and chosen.text() == "all") else chosen.indices()
    factor = table.get("scale")
    if chosen is not None and max(indices, default=0) >= len(found):
        raise chosen.error(f"there is no sample {max(indices)}", "V224", f"the data have the samples 0 to {len(found) - 1}")
    for i in indices:
        sample = found.inputs[i] if factor is None else data.scaled(found.inputs[i], factor.number())
        yield f"sample {i}", sample, None if found.labels is None else found.labels[i]


def _read(table: Table, folder: Path) -> data.Samples:
    """Labels: an array of an npz file by its name, a column of a csv file, or a list for any file."""
    files, labels = table.need("file").listed(), table.get("labels")
    paths = [folder / file.text() for file in files]
    suffixes = {"".join(path.suffixes[-2:] if path.suffix == ".gz" else path.suffixes[-1:]).lower() for path in paths}
    by_name = labels is not None and labels.kind == "scalar" and suffixes == {".npz"}
    given = None if labels is None or by_name else [item.whole() for item in labels.items()]
    if suffixes <= set(data.IMAGES) and suffixes:
        _only(table, "images", "labels", "layout")
        layout = table.get("layout")
        word = "chw" if layout is None else layout.word("chw", "hwc")
        found = data.read_images(paths, cast(Literal["chw", "hwc"], word))
    elif len(paths) == 1 and suffixes == {".npz"}:
        _only(table, "an npz file", "labels", "inputs")
        inputs = table.get("inputs")
        answers = labels.text() if labels is not None and by_name else None
        found = data.read_npz(paths[0], "inputs" if inputs is None else inputs.text(), answers)
    elif len(paths) == 1 and suffixes <= {".csv", ".csv.gz"}:
        _only(table, "a csv file", "labels", "label_column")
        column = table.get("label_column")
        found = data.read_csv(paths[0], None if column is None else column.whole())
    else:
        raise files[0].error("the data are of no known form", "V225", "one .npz or .csv file, or a list of images")
    if given is None:
        return found
    if labels is not None and len(given) != len(found):
        raise labels.error(f"{len(given)} labels for {len(found)} samples")
    return data.Samples(found.inputs, given)


def _only(table: Table, what: str, *names: str) -> None:
    for name in ("inputs", "labels", "label_column", "layout"):
        if name not in names and (value := table.get(name)) is not None:
            raise value.error(f"{name} does not belong to {what}", "V221")


# -- kinds: keys, and what they ask of a region --

_Claims = Iterator[tuple[str, Claim]]


def _robustness(table: Table, region: Region, label: int | None) -> _Claims:
    own, target, k = table.get("label"), table.get("target"), table.get("top_k")
    label = label if own is None else own.whole()
    if label is None and target is None:
        raise table.need("kind").error("robustness needs labels in the data, a label or a target", "V222")
    yield "", Robustness(region, label, () if target is None else target.indices(), 1 if k is None else k.whole())


def _output_range(table: Table, region: Region, label: int | None) -> _Claims:
    bounds: dict[int, tuple[Fraction | None, Fraction | None]] = {}
    for key, value in table.need("outputs").entries():
        ends = [None if end.null else end.number() for end in value.items()]
        if len(ends) != 2:
            raise value.error("an output has two bounds: [least, greatest], null for none")
        bounds[replace(key, name="output").whole()] = (ends[0], ends[1])
    yield "", OutputRange(region, bounds)


def _safe_region(table: Table, region: Region, label: int | None) -> _Claims:
    value = table.one_of("safe", "unsafe")
    if value.name == "safe":
        yield "", SafeRegion(region, safe=[item.text() for item in value.listed()])
    else:
        yield "", SafeRegion(region, unsafe=[[part.text() for part in item.listed()] for item in value.listed()])


def _monotonicity(table: Table, region: Region, label: int | None) -> _Claims:
    direction = table.get("direction")
    word = "increasing" if direction is None else direction.word("increasing", "decreasing")
    features = table.need("feature").indices()
    for feature in features:
        claim = Monotonicity(
            region, feature, table.need("output").whole(), cast(Literal["increasing", "decreasing"], word), _number(table, "tolerance", 0)
        )
        yield f"feature {feature}" if len(features) > 1 else "", claim


def _bounded_change(table: Table, region: Region, label: int | None) -> _Claims:
    yield "", BoundedChange(region, table.need("distance").numbers(), table.need("tolerance").number(), _outputs(table))


def _equivalence(table: Table, region: Region, label: int | None) -> _Claims:
    tolerance = table.get("tolerance")
    yield "", Equivalence(region, None if tolerance is None else tolerance.number(), _outputs(table))


def _fairness(table: Table, region: Region, label: int | None) -> _Claims:
    values = [item.numbers() for item in table.need("values").items()]
    tolerance, threshold = (None if (v := table.get(name)) is None else v.number() for name in ("tolerance", "threshold"))
    yield "", Fairness(region, table.need("sensitive").indices(), values, tolerance, threshold, _outputs(table))


def _number(table: Table, name: str, default: int) -> Fraction | int:
    value = table.get(name)
    return default if value is None else value.number()


def _outputs(table: Table) -> list[int] | None:
    value = table.get("outputs")
    return None if value is None else value.indices()


KINDS: dict[str, tuple[tuple[str, ...], Callable[[Table, Region, int | None], _Claims]]] = {
    "robustness": (("label", "target", "top_k"), _robustness),
    "output_range": (("outputs",), _output_range),
    "safe_region": (("safe", "unsafe"), _safe_region),
    "monotonicity": (("feature", "output", "direction", "tolerance"), _monotonicity),
    "bounded_change": (("distance", "tolerance", "outputs"), _bounded_change),
    "equivalence": (("tolerance", "outputs"), _equivalence),
    "fairness": (("sensitive", "values", "tolerance", "threshold", "outputs"), _fairness),
}
"""Kind -> its own keys, and its claims (part, claim) about a region with a label."""
