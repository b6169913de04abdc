"""Every element's pixel is one that it depends on, and the only one where no other is read."""

from __future__ import annotations

import numpy as np
import pytest

from tests import graphs
from tests.graph.test_window import conv, image
from verifier.graph.ir import Graph, Node
from verifier.graph.pixels import pixels
from verifier.operators.affine import Concat, Expand, Linear, Pad, ReduceSum, Reshape, Scale, Take, Transpose
from verifier.operators.base import Affine
from verifier.operators.piecewise_linear import Relu


def rearranged(rng: np.random.Generator, extra: Affine | None = None, after: tuple[int, ...] = ()) -> Graph:
    """An image of 4 x 3 x 5 as rows of channels, column after column, and `extra` of them."""
    graph = image(rng, conv(rng, 4, 3), Relu())
    narrow = Node(Take(3, np.arange(5), (1, 4, 14, 14)), (3,), (1, 4, 14, 5))
    low = Node(Take(2, np.arange(3), (1, 4, 14, 5)), (4,), (1, 4, 3, 5))
    rows = Node(Transpose((0, 3, 2, 1)), (5,), (1, 5, 3, 4)), Node(Reshape((1, 5, 3, 4), (15, 4)), (6,), (15, 4))
    return Graph((*graph.nodes, narrow, low, *rows, *([] if extra is None else [Node(extra, (7,), after)])))


@pytest.mark.parametrize(
    "extra, after, each",
    [
        (None, (15, 4), 4),
        (Linear(np.ones((4, 2))), (15, 2), 2),
        (Scale(2.0 * np.ones((1, 1))), (15, 4), 4),
        (ReduceSum((1,), (15, 4)), (15, 1), 1),
        (Expand((15, 4), (3, 15, 4)), (3, 15, 4), 4),
        (Take(1, np.array([2, 2, 0]), (15, 4)), (15, 3), 3),
    ],
)
def test_rows_of_channels(extra: Affine | None, after: tuple[int, ...], each: int) -> None:
    graph = rearranged(np.random.default_rng(0), extra, after)
    found = pixels(graph, graph.output)
    assert found is not None
    pixel = np.repeat(np.stack([np.tile(np.arange(3), 5), np.repeat(np.arange(5), 3)]), each, axis=1)
    np.testing.assert_array_equal(found, np.tile(pixel, found.shape[1] // pixel.shape[1]))


def test_values_side_by_side() -> None:
    graph = rearranged(np.random.default_rng(0))
    joined = Graph((*graph.nodes, Node(Concat(1, (4, 4)), (7, 7), (15, 8))))
    (one, both) = (pixels(joined, n) for n in (7, 8))
    assert one is not None and both is not None
    np.testing.assert_array_equal(both.reshape(2, 15, 8), np.concatenate([one.reshape(2, 15, 4)] * 2, axis=2))


def test_images_are_numbered_on_their_own() -> None:
    rng = np.random.default_rng(0)
    graph = image(rng, conv(rng, 3, 3), Relu(), lambda s: (Pad((0, 0, 1, 0), (0, 0, 0, 1), s), (1, 3, 15, 15)), conv(rng, 2, 3, stride=2))
    for n, side in ((2, 14), (3, 14), (4, 15), (5, 7)):
        found = pixels(graph, n)
        assert found is not None and found.reshape(2, 1, -1, side, side)[:, 0, 0, 3, 5].tolist() == [3, 5]


def test_no_image() -> None:
    graph = graphs.random_dense(np.random.default_rng(0), [3, 5, 2])
    assert pixels(graph, graph.output) is None
