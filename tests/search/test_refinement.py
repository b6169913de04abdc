"""Enclosures of neurons by trees of their own, against mixed-integer programs and sampled points."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest

from tests import graphs
from tests.search import milp
from verifier.graph.ir import Graph
from verifier.operators import affine
from verifier.operators.gated import HardSwish
from verifier.operators.piecewise_linear import Abs, Clip, Relu
from verifier.operators.smooth import Sigmoid
from verifier.parallel import Late
from verifier.search import refinement
from verifier.search.refinement import Refinement

BOX = -np.ones(3), np.ones(3)


@pytest.mark.parametrize("single", [False, True])
def test_trees_come_close_to_the_true_range(single: bool) -> None:
    """No enclosure excludes the least or greatest value, which a mixed-integer program finds; most of the gap to them is closed."""
    left = []
    for seed in range(5):
        graph = graphs.random_dense(np.random.default_rng(seed), [3, 7, 7, 6, 2])
        start = graphs.root(graph, graphs.EXACT, *BOX)
        refined = graphs.enclosures(graphs.refined_root(graph, graphs.EXACT, *BOX, start, 200, graphs.SINGLE if single else None))
        before = graphs.enclosures(start)
        for p in graph.preactivations[1:]:
            low, high = refined[p]
            for j in np.flatnonzero((low < 0) & (high > 0)):
                part, _ = graph.part(p, np.array([j]))
                least, most = (s * milp.least(part, *BOX, np.array([[s]]), np.zeros(1))[0] for s in (1.0, -1.0))
                assert low[j] <= least + 1e-6 and high[j] >= most - 1e-6
                left += [(least - low[j]) / (least - before[p][0][j]), (high[j] - most) / (before[p][1][j] - most)]
    assert np.mean(left) < 0.3


@pytest.mark.parametrize("what", ["reduce_graph", "advance"])
def test_a_refinement_whose_time_is_over_leaves_what_is_known(what: str) -> None:
    def late(*args: object) -> None:
        raise Late

    graph = graphs.random_dense(np.random.default_rng(0), [3, 7, 7, 6, 2])
    start = graphs.root(graph, graphs.EXACT, *BOX)
    with patch.object(refinement, what, late):
        found = graphs.enclosures(graphs.refined_root(graph, graphs.EXACT, *BOX, start, 200))
    before = graphs.enclosures(start)
    assert all(np.allclose(found[p][side], before[p][side], rtol=0, atol=1e-9) for p in before for side in (0, 1))


def test_a_part_computes_the_same() -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        graph = graphs.random_graph(rng, 10)
        values = graphs.flat_values(graph, graphs.box_points(rng, *graphs.random_box(rng, graph.input_size), 5))
        node = int(rng.integers(len(graph.nodes)))
        elements = rng.integers(0, graph.nodes[node].size, 3)
        if 0 not in graph.ancestors(node):
            continue
        part, position = graph.part(node, elements)
        found = graphs.flat_values(part, values[0])
        assert (found[-1] == values[node][:, elements]).all()
        assert all((found[there] == values[here]).all() for here, there in position.items())


def test_what_is_enough() -> None:
    """Past a kink beyond which the function is linear a better bound changes nothing; without one, the other end is as good as any."""
    b = graphs.Builder(5)
    low, high = np.array([-1.0, -3.0, 0.2, -2.0, -5.0]), np.array([2.0, 0.9, 0.9, -1.0, 6.0])

    def enough(*operators: object) -> np.ndarray:
        nodes = list(b.nodes)
        z = b.add(affine.Scale(np.ones(5), None), (0,), (5,))
        graph_of(b, z, operators)
        graph = b.graph()
        b.nodes[:] = nodes
        refinement = Refinement(graph, graphs.EXACT, graphs.EXACT, low, high, graphs.context(1.0), {})
        return refinement._enough(graph.preactivations[0], low, high)

    inf = np.inf
    assert enough(Relu()).tolist() == [[0, 0, -inf, -inf, 0], [0, 0, -inf, -inf, 0]]
    assert enough(Abs()).tolist() == enough(Relu()).tolist()
    assert enough(Clip(-0.5, 0.75)).tolist() == [[0.75, 0.75, 0.75, -inf, 0.75], [0.5, 0.5, -0.75, -inf, 0.5]]
    assert enough(Relu(), Clip(-0.5, 0.75)).tolist() == [[0.75, 0.75, 0.75, -inf, 0.75], [0.5, 0.5, -0.75, -inf, 0.5]]
    assert enough(Sigmoid()).tolist() == [high.tolist(), (-low).tolist()]
    assert enough(HardSwish())[:, 4].tolist() == [3.0, 3.0]


def graph_of(b: graphs.Builder, z: int, operators: tuple[object, ...]) -> Graph:
    ends = [b.apply(operator, z) for operator in operators]  # type: ignore[arg-type]
    b.linear(b.concat(*ends), np.ones((5 * len(ends), 1)))
    return b.graph()
