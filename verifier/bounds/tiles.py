"""Neurons of an image in groups that lie together, as they depend on a window of the graph."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from verifier.arrays import Arrays
from verifier.bounds.cost import row_cost
from verifier.bounds.dual import Interval
from verifier.graph.ir import Graph
from verifier.graph.parts import around, is_whole
from verifier.graph.pixels import pixels
from verifier.graph.window import Window, window

_SIZES = (2, 4, 8, 16)
_WORTH, _OVERHEAD = 0.6, 1e8
"""Time of a row in a window against one in the whole graph, at most; what a window takes besides, as `row_cost`: about 5 ms."""


def tiles(graph: Graph, node: int, elements: np.ndarray) -> list[np.ndarray]:
    """`elements` (k,) of a node by squares of the image that they lie on, of the size with which rows are the shortest; all together where
    that saves little."""
    places = pixels(graph, node)
    best, _ = _best(graph, node, places, len(elements))
    if places is None or best is None:
        return [elements]
    row, column = places[:, elements]
    tile = row // best * (int(places[1].max()) + 1) + column // best
    order = np.argsort(tile, kind="stable")
    return np.split(elements[order], np.flatnonzero(np.diff(tile[order])) + 1)


def tiled_cost(graph: Graph, node: int, count: int) -> float:
    """Time of a row, as `row_cost`, of one of `count` elements of a node in tiles."""
    return _best(graph, node, pixels(graph, node), count)[1]


def seen(graph: Graph, node: int, elements: np.ndarray) -> Window | None:
    """What `elements` (k,) of a node depend on; None where that is most of the graph."""
    shape = graph.nodes[node].shape
    region = around(shape, elements)
    if is_whole(shape, region):
        return None
    there = window(graph, node, region)
    return None if row_cost(there.graph) > _WORTH * row_cost(graph, node) else there


def within(there: Window, known: Mapping[int, Interval], arrays: Arrays) -> dict[int, Interval]:
    """Enclosures of a window's pre-activations, from those of the whole graph's, in `arrays`."""
    found = {}
    for n in there.graph.preactivations:
        p, elements = there.origin[n]
        index = arrays.indices(elements)
        found[n] = Interval(known[p].lower[:, index], known[p].upper[:, index])
    return found


def _best(graph: Graph, node: int, places: np.ndarray | None, count: int) -> tuple[int | None, float]:
    """Side of the squares in which rows of `count` elements of a node are the shortest, and their cost; None where that is not worth it."""
    whole = row_cost(graph, node)
    if places is None or not count:
        return None, whole
    share, longest = count / graph.nodes[node].size, int(places.max()) + 1
    costs = {size: _cost(graph, node, places, size, share) for size in _SIZES if size < longest}
    best = min(costs, key=lambda size: costs[size], default=None)
    return (None, whole) if best is None or costs[best] > _WORTH * whole else (best, costs[best])


def _cost(graph: Graph, node: int, places: np.ndarray, size: int, share: float) -> float:
    """Of a row of a square near the middle, of whose neurons a `share` are asked for. places (2, size of the node): pixels of all."""
    from_middle = np.abs(places - places.mean(axis=1, keepdims=True)).sum(axis=0)
    square = np.flatnonzero((places // size == places[:, [from_middle.argmin()]] // size).all(axis=0))
    region = around(graph.nodes[node].shape, square)
    return row_cost(window(graph, node, region).graph) + _OVERHEAD / (2 * share * len(square))
