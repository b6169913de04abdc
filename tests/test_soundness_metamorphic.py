"""The same network in another form has the same bounds and verdicts."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import pytest

from tests import graphs
from verifier.bounds import intermediate
from verifier.bounds.batch import Neurons
from verifier.graph.ir import Graph
from verifier.operators import affine

SEEDS = range(12)
Form = Callable[[np.random.Generator, list[np.ndarray], list[np.ndarray]], tuple[list[np.ndarray], list[np.ndarray]]]


def permuted(rng: np.random.Generator, weights: list[np.ndarray], biases: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    weights, biases = list(weights), list(biases)
    for i in range(len(weights) - 1):
        order = rng.permutation(len(biases[i]))
        weights[i], biases[i], weights[i + 1] = weights[i][:, order], biases[i][order], weights[i + 1][order]
    return weights, biases


def scaled(rng: np.random.Generator, weights: list[np.ndarray], biases: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """relu(2^k p) 2^-k = relu(p)."""
    weights, biases = list(weights), list(biases)
    for i in range(len(weights) - 1):
        factor = 2.0 ** rng.integers(-8, 9, len(biases[i]))
        weights[i], biases[i], weights[i + 1] = weights[i] * factor, biases[i] * factor, weights[i + 1] / factor[:, None]
    return weights, biases


def doubled(rng: np.random.Generator, weights: list[np.ndarray], biases: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """A neuron becomes two with a quarter and three quarters of its output."""
    weights, biases = list(weights), list(biases)
    for i in range(len(weights) - 1):
        j = int(rng.integers(len(biases[i])))
        weights[i] = np.concatenate([weights[i], weights[i][:, j : j + 1]], axis=1)
        biases[i] = np.append(biases[i], biases[i][j])
        parts = np.array([[0.25], [0.75]]) * weights[i + 1][j]
        weights[i + 1] = np.concatenate([weights[i + 1], parts[1:]])
        weights[i + 1][j] = parts[0]
    return weights, biases


def dead_added(rng: np.random.Generator, weights: list[np.ndarray], biases: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """A neuron that is never active, with any output."""
    weights, biases = list(weights), list(biases)
    weights[0] = np.concatenate([weights[0], np.zeros((len(weights[0]), 1))], axis=1)
    biases[0] = np.append(biases[0], -1.0)
    weights[1] = np.concatenate([weights[1], 100 * rng.normal(size=(1, weights[1].shape[1]))])
    return weights, biases


FORMS: dict[str, Form] = {"permuted": permuted, "scaled": scaled, "doubled": doubled, "dead added": dead_added}


def parts(rng: np.random.Generator) -> tuple[list[np.ndarray], list[np.ndarray]]:
    sizes = [3, 5, 5, 2]
    return [rng.normal(size=(n, m)) for n, m in zip(sizes, sizes[1:])], [0.5 * rng.normal(size=m) for m in sizes[1:]]


def bounds_of(graph: Graph, lower: np.ndarray, upper: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Row bounds by the root and by a batch of one box."""
    bounds = graphs.root(graph, graphs.EXACT, lower, upper)
    first = graphs.row_bounds(graph, graphs.EXACT, bounds, {graph.output: rows}, lower, upper).lower
    second = graphs.box_bounds(graph, graphs.EXACT, bounds, graphs.targets_of(rows), lower[None], upper[None]).lower[0]
    return np.concatenate([first, second])


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_one_network(form: str) -> None:
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        weights, biases = parts(rng)
        lower = rng.normal(size=3)
        upper = lower + rng.uniform(0.1, 1.0, 3)
        rows = rng.normal(size=(3, 2))
        other = graphs.dense(*FORMS[form](rng, weights, biases))
        np.testing.assert_allclose(
            bounds_of(other, lower, upper, rows), bounds_of(graphs.dense(weights, biases), lower, upper, rows), rtol=1e-9, atol=1e-9
        )


def with_identities(weights: list[np.ndarray], biases: list[np.ndarray]) -> Graph:
    b = graphs.Builder(weights[0].shape[0])
    node = 0
    for i, (w, c) in enumerate(zip(weights, biases)):
        m = w.shape[1]
        node = b.add(affine.Reshape((w.shape[0],), (1, w.shape[0])), (node,), (1, w.shape[0]))
        node = b.linear(node, w)
        node = b.add(affine.Transpose((1, 0)), (node,), (m, 1))
        node = b.add(affine.Scale(None, c[:, None]), (node,), (m, 1))
        node = b.add(affine.Reshape((m, 1), (m,)), (node,), (m,))
        node = b.add(affine.Take(0, np.arange(m), (m,)), (node,), (m,))
        if i + 1 < len(weights):
            node = b.relu(node)
    return b.graph()


def split_in_blocks(weights: list[np.ndarray], biases: list[np.ndarray]) -> Graph:
    """Every layer as two parallel branches that are joined again: what rows and heads have to sum."""
    b = graphs.Builder(weights[0].shape[0])
    node = 0
    for i, (w, c) in enumerate(zip(weights, biases)):
        half = w.shape[0] // 2
        top = b.add(affine.Take(0, np.arange(half), (w.shape[0],)), (node,), (half,))
        bottom = b.add(affine.Take(0, np.arange(half, w.shape[0]), (w.shape[0],)), (node,), (w.shape[0] - half,))
        node = b.add(affine.Add((1, -1)), (b.linear(top, w[:half], c), b.linear(bottom, -w[half:])), (w.shape[1],))
        if i + 1 < len(weights):
            left = w.shape[1] // 2
            ends = [
                b.relu(b.add(affine.Take(0, index, (w.shape[1],)), (node,), (len(index),)))
                for index in (np.arange(left), np.arange(left, w.shape[1]))
            ]
            node = b.concat(*ends)
    return b.graph()


@pytest.mark.parametrize("form", [with_identities, split_in_blocks])
def test_graphs_of_one_network(form: Callable[[list[np.ndarray], list[np.ndarray]], Graph]) -> None:
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        weights, biases = parts(rng)
        lower = rng.normal(size=3)
        upper = lower + rng.uniform(0.1, 1.0, 3)
        rows = rng.normal(size=(3, 2))
        np.testing.assert_allclose(
            bounds_of(form(weights, biases), lower, upper, rows),
            bounds_of(graphs.dense(weights, biases), lower, upper, rows),
            rtol=1e-9,
            atol=1e-9,
        )


def test_a_batch_equals_its_boxes() -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        graph = graphs.random_graph(rng)
        lower, upper = graphs.random_box(rng, graph.input_size)
        bounds = graphs.root(graph, graphs.EXACT, lower, upper)
        boxes = [graphs.inner_box(rng, lower, upper) for _ in range(5)]
        low, high = np.stack([b[0] for b in boxes]), np.stack([b[1] for b in boxes])
        targets = graphs.targets_of(rng.normal(size=(2, graph.output_size)))
        together = graphs.box_bounds(graph, graphs.EXACT, bounds, targets, low, high)
        for i in range(5):
            alone = graphs.box_bounds(graph, graphs.EXACT, bounds, targets, low[i : i + 1], high[i : i + 1])
            scale = 1e-9 * (
                1
                + np.abs(together.lower[i]).max(initial=0.0)
                + np.abs(together.below[i]).max(initial=0.0)
                + np.abs(together.above[i]).max(initial=0.0)
            )
            np.testing.assert_allclose(alone.lower[0], together.lower[i], rtol=1e-7, atol=scale)
            # Padding a short list bounds neurons that need no bound: theirs may be tighter in company.
            assert (together.below[i] >= alone.below[0] - scale).all() and (together.above[i] <= alone.above[0] + scale).all()


def test_heads_equal_rows_of_the_whole_graph() -> None:
    """Unit rows through the matrices of the heads, and pushed through every node: the same enclosures."""
    compared = 0
    for seed in range(80):
        rng = np.random.default_rng(seed)
        graph = graphs.random_graph(rng)
        lower, upper = graphs.random_box(rng, graph.input_size)
        with patch.object(intermediate, "forms_pay", lambda *_: False):
            by_rows = graphs.flat_enclosures(graph, graphs.root(graph, graphs.EXACT, lower, upper))
        loose = {p: b for p, b in graphs.interval_bounds(graph, graphs.EXACT, lower, upper).items() if p in graph.preactivations}
        if not all(np.isfinite(side).all() for b in loose.values() for side in b):
            continue  # intervals alone do not bound a function with a pole
        compared += 1
        start = graphs.exact_root(graph, lower, upper, loose)
        with patch.object(Neurons, "selective", False):  # neurons that the targets do not depend on have rows, too
            targets = graphs.targets_of(np.ones((1, graph.output_size)))
            found = graphs.box_bounds(graph, graphs.EXACT, start, targets, lower[None], upper[None])
        for a, b in ((by_rows[0], found.below[0]), (by_rows[1], found.above[0])):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7 * (1 + np.abs(a).max(initial=0.0)))
    assert compared >= 40


def test_a_part_of_a_proved_box_is_proved() -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        graph, lower, upper = graphs.random_dense(rng, [3, 4, 4, 2]), -np.ones(3), np.ones(3)
        rows = rng.normal(size=(1, 2))
        least = float((graph.evaluate(graphs.box_points(rng, lower, upper, 2000)) @ rows[0]).min())
        targets = graphs.targets_of(rows, -least + 0.3 * (1 + abs(least)))
        inner = graphs.inner_box(rng, lower, upper)
        for search in (graphs.search_inputs, graphs.search_neurons):
            if search(graph, targets, lower, upper, seconds=1.0).proved:
                assert search(graph, targets, *inner, seconds=60.0).proved
