"""A whole ascent as one launch: on a CUDA device it is recorded once for batches of a shape, as a CUDA graph, and replayed.

An iteration for a small network is some hundred operations of a few microseconds each, and to start one from Python takes longer
than that. Batches are filled up to a few sizes, so that recordings are few. Proposals alone are recorded: what is accepted is
evaluated as ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from verifier.arrays import Array, Arrays, namespace
from verifier.bounds.ascent import Ascent, Parameters
from verifier.bounds.dual import Dual

Ascended = tuple[Dual, Parameters]
Record = Callable[[Callable[[], Ascended]], tuple[Ascended, Callable[[], object]]]
"""function -> (what it returns, a call that brings that up to date with the arrays that `function` reads)."""

_SMALLEST = 8
"""Batches are filled up to powers of two from here on."""
_LARGEST = 1 << 26
"""Numbers of one pass, a row's coefficients on all nodes, up to which starting the operations takes longer than they do."""
_FEW = 2
"""Batches of a shape that are not recorded: a recording takes as long as about so many."""


@dataclass(frozen=True, eq=False)
class _Recording:
    given: Ascent
    found: Ascended
    replay: Callable[[], object]


class Recorder:
    """Recordings of the ascents of one search, by what they are made of and its shape."""

    def __init__(self, record: Record):
        self._record = record
        self._seen: Counter[object] = Counter()
        self._kept: dict[object, _Recording] = {}

    @staticmethod
    def on(arrays: Arrays) -> Recorder | None:
        """None where operations start at once."""
        return Recorder(_cuda()) if arrays.device is not None and arrays.device.type == "cuda" else None

    def run(self, ascent: Ascent) -> Ascended | None:
        """What `Ascent.run` returns if it is never stopped; None where there is no recording: of a shape that has been seen too seldom,
        of ascents that end by what they gain, and where there is enough to compute without one."""
        batch, count = next(iter(ascent.rows.values())).shape[:2]
        size = max(_SMALLEST, 1 << (batch - 1).bit_length())
        if ascent.schedule.worth or size * count * sum(node.size for node in ascent.graph.nodes) > _LARGEST:
            return None
        key = (ascent.graph, ascent.schedule, _shapes(ascent, batch, size))
        self._seen[key] += 1
        if self._seen[key] <= _FEW:
            return None
        if key not in self._kept:
            given = _mapped(lambda a: _filled(a, batch, size), ascent)
            self._kept[key] = _Recording(given, *self._record(lambda: given.run(None, lambda: False)))
        recording = self._kept[key]
        for fixed, new in zip(_leaves(recording.given), _leaves(ascent), strict=True):
            fixed[: len(new)] = new  # what lies behind is of batches before, and of no account
        recording.replay()
        return _mapped(lambda a: a[:batch] + 0.0 if a.shape[0] == size else a + 0.0, recording.found)


def _cuda() -> Record:
    """All recordings share the memory of what they compute on the way: results are to be copied before another is replayed."""
    import torch

    pool = torch.cuda.graph_pool_handle()

    def record(function: Callable[[], Ascended]) -> tuple[Ascended, Callable[[], object]]:
        apart = torch.cuda.Stream()
        apart.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(apart):  # what libraries set up when they are first used cannot be recorded
            function()
        torch.cuda.current_stream().wait_stream(apart)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            found = function()
        return found, graph.replay

    return record


def _mapped(function: Callable[[Array], Any], tree: Any) -> Any:
    """The same structure with `function` of every array."""
    if isinstance(tree, Ascent):
        fields = ("rows", "lower", "upper", "preactivations", "start", "signs", "scales")
        return replace(tree, **{name: _mapped(function, getattr(tree, name)) for name in fields})
    if isinstance(tree, Parameters):
        return Parameters(_mapped(function, tree.slopes), _mapped(function, tree.multipliers))
    if isinstance(tree, Mapping):
        return {k: _mapped(function, tree[k]) for k in sorted(tree)}
    if isinstance(tree, tuple):
        parts = [_mapped(function, part) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
    return function(tree)


def _leaves(tree: Any) -> list[Array]:
    found: list[Array] = []
    _mapped(found.append, tree)
    return found


def _shapes(ascent: Ascent, batch: int, size: int) -> tuple[object, ...]:
    """The nodes that arrays are given for, and the arrays' shapes once they are filled."""
    names = [tuple(sorted(part)) for part in (ascent.rows, ascent.preactivations, ascent.start.slopes)]
    names += [tuple(sorted(part)) for part in (ascent.start.multipliers, ascent.signs, ascent.scales)]
    return *names, *((size if a.shape[0] == batch else a.shape[0], *a.shape[1:]) for a in _leaves(ascent))


def _filled(a: Array, batch: int, size: int) -> Array:
    """a (B, ...) or (1, ...) as an array of its own, of size subproblems in place of B: the last one again and again."""
    if a.shape[0] != batch:
        return a + 0.0
    xp = namespace(a)
    return xp.concat([a, xp.broadcast_to(a[-1:], (size - batch, *a.shape[1:]))])
