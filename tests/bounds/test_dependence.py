"""What rows depend on, and that enclosures of other neurons are not worth a row."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest

from tests import graphs
from tests.graph.test_mirrored import lattice
from verifier.bounds.batch import Neurons
from verifier.bounds.dependence import dependence
from verifier.bounds.dual import Interval
from verifier.graph.simplify import condense, simplify


def test_the_loser_of_a_minimum_does_not_matter() -> None:
    """y = min(min(a, b), min(c, d)) as a - relu(a - b) and so on, with the second minimum far above the first."""
    b = graphs.Builder(2)
    values = b.linear(0, np.array([[1.0, 0.5, 1.0, 0.0], [0.0, 1.0, -1.0, 1.0]]), np.array([0.0, 0.1, 50.0, 60.0]))
    differences = b.linear(values, np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    least = b.add(graphs.affine.Add((1, -1)), (b.linear(values, np.eye(4)[:, [0, 2]]), b.relu(differences)), (2,))
    last = b.linear(least, np.array([[1.0], [-1.0]]))
    b.add(graphs.affine.Add((1, -1)), (b.linear(least, np.array([[1.0], [0.0]])), b.relu(last)), (1,))
    graph = b.graph()
    lower, upper = -np.ones((1, 2)), np.ones((1, 2))
    rows = {graph.output: np.ones((1, 1, 1))}

    def used(of_last: tuple[float, float]) -> np.ndarray:
        known = {differences: Interval(*np.array([[[-3.0, -3.0]], [[3.0, 3.0]]])), last: Interval(*np.array(of_last).reshape(2, 1, 1))}
        return dependence(graph, rows, lower, upper, known)[differences][0]

    assert used((-70.0, -40.0)).tolist() == [True, False]
    assert used((40.0, 70.0)).tolist() == [False, True]
    assert used((-1.0, 1.0)).tolist() == [True, True]


@pytest.mark.parametrize("seed", range(6))
def test_bounds_are_as_good_without_rows_for_others(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = condense(simplify(lattice(rng, 256)))
    neurons = Neurons(graph)
    assert neurons.selective
    centre, radius = rng.uniform(-1, 1, 2), 0.1
    box = centre - radius, centre + radius
    root = graphs.root(graph, graphs.EXACT, *box)
    corner = box[0][None], centre[None]
    targets = graphs.targets_of(np.ones((1, 1)))
    few = graphs.box_bounds(graph, graphs.EXACT, root, targets, *corner)
    with patch.object(Neurons, "selective", False):
        all_of_them = graphs.box_bounds(graph, graphs.EXACT, root, targets, *corner)
    assert np.allclose(few.lower, all_of_them.lower, rtol=0, atol=1e-9)
    assert (few.above - few.below).sum() >= (all_of_them.above - all_of_them.below).sum()
