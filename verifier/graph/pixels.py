"""Where the elements of a node lie on the image that they are computed from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verifier.graph.ir import Graph, Node
from verifier.operators.affine import Add, Concat, Expand, Linear, ReduceSum, Reshape, Scale, Take, Transpose
from verifier.operators.base import Elementwise
from verifier.operators.sparse import Sparse


def pixels(graph: Graph, node: int) -> np.ndarray | None:
    """(2, size): row and column of every element of `node`, or of the first of the elements that it comes from, in the last image on the
    way to it; None where there is none. An image has four axes, and is more than other elements of another one in new places."""
    found: dict[int, np.ndarray | None] = {}
    for n in graph.ancestors(node):
        places = _carried(graph.nodes[n], [found[p] for p in graph.nodes[n].inputs])
        found[n] = np.indices(graph.nodes[n].shape)[2:] if places is None and len(graph.nodes[n].shape) == 4 else places
    places = found[node]
    return None if places is None else places.reshape(2, -1)


def _carried(node: Node, parents: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """(2, *shape) of a node whose elements stem from the same pixels as those of its parents."""
    op, known = node.operator, [p for p in parents if p is not None]
    if not known:
        return None
    if isinstance(op, Reshape | Transpose | Take | Concat | Expand):
        return op.forward(2, *known) if len(known) == len(parents) else None
    if isinstance(op, ReduceSum):
        return known[0].min(axis=tuple(a + 1 for a in op.axes), keepdims=True)
    if isinstance(op, Linear | Sparse):
        return np.broadcast_to(known[0][..., :1], (2, *node.shape))
    if isinstance(op, Add | Scale | Elementwise):
        return known[0] if known[0].shape[1:] == node.shape else None
    return None
