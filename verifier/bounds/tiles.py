"""Neurons of an image in groups that lie together, as they depend on a window of the graph."""

from __future__ import annotations

import numpy as np

from verifier.bounds.cost import row_cost
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
    if places is None or not len(elements):
        return [elements]
    height, width = (int(axis.max()) + 1 for axis in places)
    share = len(elements) / graph.nodes[node].size
    costs = {size: _cost(graph, node, places, size, share) for size in _SIZES if size < max(height, width)}
    best = min(costs, key=lambda size: costs[size], default=0)
    if not best or costs[best] > _WORTH * row_cost(graph, node):
        return [elements]
    row, column = places[:, elements]
    tile = row // best * width + column // best
    order = np.argsort(tile, kind="stable")
    return np.split(elements[order], np.flatnonzero(np.diff(tile[order])) + 1)


def seen(graph: Graph, node: int, elements: np.ndarray) -> Window | None:
    """What `elements` (k,) of a node depend on; None where that is most of the graph."""
    shape = graph.nodes[node].shape
    region = around(shape, elements)
    if is_whole(shape, region):
        return None
    there = window(graph, node, region)
    return None if row_cost(there.graph) > _WORTH * row_cost(graph, node) else there


def _cost(graph: Graph, node: int, places: np.ndarray, size: int, share: float) -> float:
    """Of a row of the square in the middle, of whose neurons a `share` are asked for. places (2, size of the node): pixels of all."""
    first = np.maximum(places.max(axis=1) + 1 - size, 0)[:, None] // 2
    middle = np.flatnonzero(((places >= first) & (places < first + size)).all(axis=0))
    region = around(graph.nodes[node].shape, middle)
    return row_cost(window(graph, node, region).graph) + _OVERHEAD / (2 * share * len(middle))
