"""The kinds of property: what is claimed of the outputs, and the exact ways in which an input violates it.

Each record has a region of inputs and becomes a `Property` by `build(interfaces, origin)`, where interfaces describe the networks it
speaks of. `build` raises PropertyError: V213 too many cases, V223 numbers that do not fit the network, V224 something out of range,
V227 a malformed inequality. Ties count as violations of robustness; a claim of an interval or a distance holds at its ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import comb
from typing import Literal, Protocol

from verifier.errors import PropertyError
from verifier.property.disjuncts import Property, Row
from verifier.property.dnf import MOST_DISJUNCTS
from verifier.property.templates import linear
from verifier.property.templates.assembly import Case, Joint, Origin, joint, single
from verifier.property.templates.region import Interface, Number, Numbers, Region, exact, exact_list, show

_ONE = Fraction(1)


class Claim(Protocol):
    """What every kind of property is."""

    @property
    def region(self) -> Region: ...

    def build(self, interfaces: Sequence[Interface], origin: Origin) -> Property: ...


def _less(low: int, high: int, strict: bool, line: int) -> Row:
    """y[low] <= y[high]."""
    return Row({}, {low: _ONE, high: -_ONE}, Fraction(0), strict, line)


def _in_range(value: int, count: int, what: str) -> int:
    if not 0 <= value < count:
        raise PropertyError(f"there is no {what} {value}", code="V224", hint=f"they are numbered 0 to {count - 1}")
    return value


@dataclass(frozen=True, eq=False)
class Robustness:
    """The answer stays `label`: no other output is as large anywhere in the region.

        Robustness(Ball(image, eps=0.03, domain=(0, 1)), label=3)

    target: the answer is never one of these instead (an answer is an output that no other exceeds), whatever else it is.
    top_k: the label stays among the k largest outputs.
    """

    region: Region
    label: int | None = None
    target: Sequence[int] = ()
    top_k: int = 1

    def build(self, interfaces: Sequence[Interface], origin: Origin) -> Property:
        (interface,) = interfaces
        return single(self.region.extent(interface), interface, self._cases(interface.scores, origin), origin)

    def _cases(self, count: int, origin: Origin) -> Iterator[Case]:
        if count < 2:
            raise PropertyError("robustness compares outputs, but the network has one", code="V224", hint="kind output_range bounds it")
        for target in self.target:
            _in_range(target, count, "output")
        if self.target and self.top_k != 1:
            raise PropertyError("target and top_k exclude each other", code="V224")
        if self.target:
            if self.label in self.target:
                raise PropertyError(f"the target {self.label} is the label", code="V224")
            for target in self.target:
                yield Case(tuple(_less(j, target, False, origin.line) for j in range(count) if j != target))
            return
        if self.label is None:
            raise PropertyError("robustness needs a label or a target", code="V222")
        others = [j for j in range(count) if j != _in_range(self.label, count, "label")]
        if not 1 <= self.top_k < count:
            raise PropertyError(f"top_k is {self.top_k}", code="V224", hint=f"it must be at least 1 and less than the {count} outputs")
        if comb(len(others), self.top_k) > MOST_DISJUNCTS:
            message = f"{comb(len(others), self.top_k)} sets of {self.top_k} outputs can be larger than the label"
            raise PropertyError(message, code="V213", hint=f"at most {MOST_DISJUNCTS} are supported: choose a smaller top_k")
        for larger in combinations(others, self.top_k):
            yield Case(tuple(_less(self.label, j, False, origin.line) for j in larger))


@dataclass(frozen=True, eq=False)
class OutputRange:
    """Outputs stay within bounds, given as output -> (least, greatest), where None means none.

    OutputRange(Box([0, 0], [1, 1]), bounds={0: (-1, 1), 2: (None, "0.5")})
    """

    region: Region
    bounds: Mapping[int, tuple[Number | None, Number | None]]

    def build(self, interfaces: Sequence[Interface], origin: Origin) -> Property:
        (interface,) = interfaces
        return single(self.region.extent(interface), interface, self._cases(interface.scores, origin), origin)

    def _cases(self, count: int, origin: Origin) -> Iterator[Case]:
        for j, (least, greatest) in self.bounds.items():
            _in_range(j, count, "output")
            if least is not None and greatest is not None and exact(least) > exact(greatest):
                message = f"output {j} is to be at least {show(exact(least))} and at most {show(exact(greatest))}"
                raise PropertyError(message, code="V224")
            if least is not None:
                yield Case((Row({}, {j: _ONE}, -exact(least), True, origin.line),))
            if greatest is not None:
                yield Case((Row({}, {j: -_ONE}, exact(greatest), True, origin.line),))


@dataclass(frozen=True, eq=False)
class SafeRegion:
    """Every inequality of `safe` holds, and no entry of `unsafe` does, of which several inequalities hold together.

    SafeRegion(Box(lower, upper), safe=["y[0] <= y[1]", "y[0] - 2*y[2] < 0.5"])
    SafeRegion(Box(lower, upper), unsafe=[["y[0] > 1", "y[1] > 1"], "y[2] < x[0]"])
    """

    region: Region
    safe: Sequence[str] = ()
    unsafe: Sequence[str | Sequence[str]] = ()

    def build(self, interfaces: Sequence[Interface], origin: Origin) -> Property:
        (interface,) = interfaces
        return single(self.region.extent(interface), interface, self._cases(interface, origin), origin)

    def _cases(self, interface: Interface, origin: Origin) -> Iterator[Case]:
        sizes = interface.features, interface.scores, origin.line
        for text in self.safe:
            yield Case((linear.negated(linear.row(text, *sizes)),))
        for entry in self.unsafe:
            yield Case(tuple(linear.row(text, *sizes) for text in ([entry] if isinstance(entry, str) else entry)))


@dataclass(frozen=True, eq=False)
class Monotonicity:
    """If `feature` rises and nothing else changes, then `output` does not fall by more than `tolerance` ("decreasing": does not rise).

        Monotonicity(Box([0, 0], [1, 1]), feature=1, output=0, direction="increasing", tolerance="0.001")

    With a tolerance of 0 violations are found, but a proof is out of reach of bounds that are rounded: at equal inputs the claim is tight.
    """

    region: Region
    feature: int
    output: int
    direction: Literal["increasing", "decreasing"] = "increasing"
    tolerance: Number = 0

    def build(self, interfaces: Sequence[Interface], origin: Origin) -> Property:
        interface = interfaces[0]
        feature = _in_range(self.feature, interface.features, "feature")
        output = _in_range(self.output, interface.scores, "output")
        two = Joint(interface, interface, (feature,), True)
        before, after = (two.score(k, output) for k in ((0, 1) if self.direction == "increasing" else (1, 0)))
        rises = Row({feature: _ONE, two.other(feature): -_ONE}, {}, Fraction(0), False, origin.line)
        falls = Row({}, {after: _ONE, before: -_ONE}, _tolerance(self.tolerance), True, origin.line)
        return joint(self.region.extent(interface), two, [Case((rises, falls))], origin)


@dataclass(frozen=True, eq=False)
class BoundedChange:
    """Inputs of the region that differ by at most `distance` in every feature have outputs that differ by at most `tolerance`.

        BoundedChange(Box([0, 0], [1, 1]), distance=0.01, tolerance=0.1, outputs=[0])

    distance: one number, or one a channel or feature; features of distance 0 are equal. outputs: which; all of them if None.
    """

    region: Region
    distance: Numbers
    tolerance: Number
    outputs: Sequence[int] | None = None

    def build(self, interfaces: Sequence[Interface], origin: Origin) -> Property:
        from verifier.property.templates.region import spread

        interface = interfaces[0]
        distance = spread(self.distance, interface, "distance")
        if min(distance) < 0:
            raise PropertyError(f"the distance is {show(min(distance))}, but it may not be negative", code="V224")
        two = Joint(interface, interface, tuple(i for i, d in enumerate(distance) if d), True)
        near = [
            Row({a: _ONE, b: -_ONE}, {}, -distance[i], False, origin.line)
            for i in two.own
            for a, b in ((i, two.other(i)), (two.other(i), i))
        ]
        # The region and the distance are the same for both copies: who is larger does not matter.
        cases = [Case((*near, _exceeds(two, j, 0, self.tolerance, origin))) for j in _chosen(self.outputs, interface)]
        return joint(self.region.extent(interface), two, cases, origin)


@dataclass(frozen=True, eq=False)
class Equivalence:
    """Two networks agree on the region: outputs differ by at most `tolerance`; without one, they give the same answer.

        verify((f, g), Equivalence(Box([0, 0], [1, 1]), tolerance=0.01))

    The same answer: the only largest output of the first is among the largest of the second. outputs: which are compared; None: all.
    """

    region: Region
    tolerance: Number | None = None
    outputs: Sequence[int] | None = None

    def build(self, interfaces: Sequence[Interface], origin: Origin) -> Property:
        first, second = interfaces
        for what, a, b in (("inputs", first.features, second.features), ("outputs", first.scores, second.scores)):
            if a != b:
                raise PropertyError(f"the networks have {a} and {b} {what}", code="V223")
        two = Joint(first, second, (), False)
        outputs = _chosen(self.outputs, first)
        if self.tolerance is None:
            cases = [Case(rows) for rows in _other_answers(two, outputs, 0, origin)]
        else:
            cases = [Case((_exceeds(two, j, side, self.tolerance, origin),)) for j in outputs for side in (0, 1)]
        return joint(self.region.extent(first), two, cases, origin)


@dataclass(frozen=True, eq=False)
class Fairness:
    """Changing the sensitive features, and nothing else, does not change the answer; with `tolerance`, no output by more than that.

        Fairness(Box(lower, upper), sensitive=[3], values=[0, 1])
        Fairness(Box(lower, upper), sensitive=[3, 4], values=[[1, 0], [0, 1]], tolerance=0.1, outputs=[0])

    values: what the sensitive features can be, in place of the region's bounds; a list a value if there are several features.
    threshold: of a network with one output, the answer is whether it is at least this.
    """

    region: Region
    sensitive: Sequence[int]
    values: Sequence[Number | Sequence[Number]]
    tolerance: Number | None = None
    threshold: Number | None = None
    outputs: Sequence[int] | None = None

    def build(self, interfaces: Sequence[Interface], origin: Origin) -> Property:
        interface, values = interfaces[0], [exact_list([v]) for v in self.values]
        order = sorted(range(len(self.sensitive)), key=lambda k: self.sensitive[k])
        own = tuple(_in_range(self.sensitive[k], interface.features, "feature") for k in order)
        if len(set(own)) < len(own) or not own:
            raise PropertyError("the sensitive features are distinct, and at least one", code="V224")
        if len(values) < 2 or any(len(v) != len(own) for v in values):
            raise PropertyError(f"give at least two values of {len(own)} feature(s)", code="V223")
        two = Joint(interface, interface, own, True)
        settings = [[v[k] for k in order] for v in values]
        cases = [
            Case(rows, {**dict(zip(own, a)), **{two.other(i): value for i, value in zip(own, b)}})
            for a, b in combinations(settings, 2)
            for rows in self._violations(two, interface, origin)
        ]
        extent = self.region.extent(interface)
        for k, i in enumerate(own):
            extent.lower[i], extent.upper[i] = min(s[k] for s in settings), max(s[k] for s in settings)
        return joint(extent._replace(centre=None), two, cases, origin)

    def _violations(self, two: Joint, interface: Interface, origin: Origin) -> Iterator[tuple[Row, ...]]:
        outputs = _chosen(self.outputs, interface)
        for side in (0, 1):  # either value may be the one with the larger output
            if self.tolerance is not None:
                yield from ((_exceeds(two, j, side, self.tolerance, origin),) for j in outputs)
            elif self.threshold is not None or len(outputs) == 1:
                if len(outputs) != 1 or self.threshold is None:
                    hint = "a network with one output has a threshold, or a tolerance"
                    raise PropertyError("the answer of one output needs a threshold", code="V222", hint=hint)
                high, low, limit = two.score(side, outputs[0]), two.score(1 - side, outputs[0]), exact(self.threshold)
                yield (Row({}, {high: -_ONE}, limit, False, origin.line), Row({}, {low: _ONE}, -limit, True, origin.line))
            else:
                yield from _other_answers(two, outputs, side, origin)


def _tolerance(value: Number) -> Fraction:
    found = exact(value)
    if found < 0:
        raise PropertyError(f"the tolerance is {show(found)}, but it may not be negative", code="V224")
    return found


def _chosen(outputs: Sequence[int] | None, interface: Interface) -> list[int]:
    return [_in_range(j, interface.scores, "output") for j in (range(interface.scores) if outputs is None else outputs)]


def _exceeds(two: Joint, output: int, network: int, tolerance: Number, origin: Origin) -> Row:
    """The output of `network` is larger than that of the other one by more than the tolerance."""
    return Row({}, {two.score(network, output): -_ONE, two.score(1 - network, output): _ONE}, _tolerance(tolerance), True, origin.line)


def _other_answers(two: Joint, outputs: Sequence[int], network: int, origin: Origin) -> Iterator[tuple[Row, ...]]:
    """The only answer of `network` is i, and the other one prefers some j to i."""
    for i in outputs:
        only = tuple(_less(two.score(network, k), two.score(network, i), True, origin.line) for k in outputs if k != i)
        for j in outputs:
            if j != i:
                yield (*only, _less(two.score(1 - network, i), two.score(1 - network, j), True, origin.line))
