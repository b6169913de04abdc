from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests import graphs
from verifier.search import subproblems
from verifier.search.splits import Splits


def start(count: int) -> Splits:
    none = np.zeros((count, 0))
    return Splits(
        none.astype(np.int64),
        none.astype(np.int8),
        none,
        np.zeros((count, 1, 0), np.float32),
        {3: np.zeros((count, 1, 2, 1), np.float16)},
        np.arange(count),
        np.zeros(count),
        np.zeros(count, np.int64),
        np.full(count, -1),
        np.zeros(count),
        np.full(count, np.nan),
        np.zeros(count, np.int64),
        np.full((count, 4, 2), np.nan),
        none,
        none,
    )


def clamp(splits: Splits, below: np.ndarray, above: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return splits.clamp(*(np.tile(side, (len(splits), 1)) for side in (below, above)))


def test_children_cover_their_parent() -> None:
    """Every point of a parent lies in one of its children, points on the split in both; histories of different lengths are mixed."""
    total = 6
    for seed in range(40):
        rng = np.random.default_rng(seed)
        below, above = -rng.random(total), rng.random(total)
        splits = start(2)
        for _ in range(5):
            low, high = clamp(splits, below, above)
            choice = rng.integers(0, total, len(splits))
            at = np.arange(len(splits))
            point = low[at, choice] + rng.random(len(splits)) * (high[at, choice] - low[at, choice])
            children = Splits.children(splits.__class__(**{**vars(splits), "choice": choice, "choice_point": point}))
            assert len(children) == 2 * len(splits) and (children.disjunct == np.tile(splits.disjunct, 2)).all()
            child_low, child_high = clamp(children, below, above)
            for b in range(len(splits)):
                values = low[b] + rng.random((20, total)) * (high[b] - low[b])
                values[:3, choice[b]] = point[b]
                inside = [((values >= child_low[c]) & (values <= child_high[c])).all(axis=1) for c in (b, b + len(splits))]
                assert (inside[0] | inside[1]).all() and (inside[0] & inside[1])[:3].all()
                for c in (b, b + len(splits)):
                    assert (child_low[c] >= low[b]).all() and (child_high[c] <= high[b]).all()
            keep = np.sort(rng.choice(len(children), size=min(6, len(children)), replace=False))
            splits = Splits.concatenate([children.select(keep), start(1)])
            assert len(splits) == len(keep) + 1


def test_an_unused_slot_clamps_nothing() -> None:
    wide = start(1).widened(4)
    low, high = clamp(wide, np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    assert low.tolist() == [[1.0, 2.0]] and high.tolist() == [[3.0, 4.0]]


def test_a_neuron_that_is_split_again_keeps_its_multiplier() -> None:
    """Dense multipliers -> stored with the splits -> dense again, although the neuron has three splits."""
    graph = graphs.random_dense(np.random.default_rng(0), [2, 3, 1])
    box = -np.ones(2), np.ones(2)
    tree = graphs.tree(graph, graphs.root(graph, graphs.EXACT, *box), graphs.targets_of(np.ones((1, 1))), *box, graphs.EXACT, graphs.EXACT)
    splits = graphs.start_splits(tree)
    for neuron, point in ((1, 0.1), (0, 0.0), (1, 0.2), (1, 0.15)):
        count = len(splits)
        splits = replace(splits, choice=np.full(count, neuron), choice_point=np.full(count, point)).children()
    node = graph.preactivations[0]
    multipliers = {node: np.random.default_rng(1).normal(size=(len(splits), 1, 3)).astype(np.float32)}
    start = tree.parameters(splits, graphs.EXACT)
    stored = replace(splits, multiplier=subproblems._gathered(tree, splits, replace(start, multipliers=multipliers)))
    again = tree.parameters(stored, graphs.EXACT).multipliers[node]
    np.testing.assert_array_equal(again[:, :, :2], multipliers[node][:, :, :2])
    assert not again[:, :, 2].any()
    at = np.zeros(len(stored), np.int64)
    child = replace(stored, choice=at + 1, choice_point=0.17 + at).children()
    dense = tree.parameters(child, graphs.EXACT)
    np.testing.assert_array_equal(dense.multipliers[node], np.tile(again, (2, 1, 1)))
