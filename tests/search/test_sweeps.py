"""Which layers a sweep of refinement takes on, with trees of which sizes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests import graphs
from verifier.search import sweeps
from verifier.search.sweeps import Sweep
from verifier.search.tree import Tree


@pytest.fixture(scope="module")
def tree() -> Tree:
    """Over layers of which the second has the most work, and the third little."""
    graph = graphs.random_dense(np.random.default_rng(0), [3, 12, 30, 4, 12, 2])
    box = -np.ones(3), np.ones(3)
    return graphs.tree(graph, graphs.root(graph, graphs.EXACT, *box), graphs.targets_of(np.ones((1, 2)), -1e3), *box)


def times(tree: Tree, sizes: dict[int, float]) -> dict[int, float]:
    work = sweeps._work(tree)
    return {p: size * work[p] for p, size in sizes.items()}


def test_layers_get_as_much_time(tree: Tree) -> None:
    sizes = Sweep().sizes(tree, 1.0, np.inf)
    first, *deep = tree.network.neurons.graph.preactivations
    assert list(sizes) == deep and first not in sizes
    work, spent = sweeps._work(tree), times(tree, sizes)
    dearest = max(work, key=lambda p: work[p])
    assert sizes[dearest] == pytest.approx(16.0)
    for p in deep:
        assert spent[p] == pytest.approx(min(spent[dearest], 16.0 * 16.0 * work[p]))
    assert Sweep().expected(tree, sizes, 0.5) == pytest.approx(0.5 * sum(spent.values()))


@pytest.mark.parametrize("part", [0.1, 0.4, 0.8, 0.95])
def test_no_more_than_there_is_time_for(tree: Tree, part: float) -> None:
    """The first sweep leaves out what is too dear, and gives the others less in advance; none has smaller trees than planned."""
    whole = Sweep().sizes(tree, 1.0, np.inf)
    limit = part * sum(times(tree, whole).values())
    sizes = Sweep().sizes(tree, 1.0, limit)
    assert sum(times(tree, sizes).values()) <= limit * (1 + 1e-9)
    assert all(16.0 * (1 - 1e-9) <= size <= whole[p] * (1 + 1e-9) for p, size in sizes.items())
    assert Sweep().sizes(tree, 1.0, 0.0) == {}


@pytest.mark.parametrize("seed", range(30))
def test_as_many_layers_as_there_is_time_for(seed: int) -> None:
    """A layer that is dear does not take the time of several others; of as many, the first ones are refined."""
    rng = np.random.default_rng(seed)
    work = {p: float(units) for p, units in enumerate(rng.integers(1, 40, 6))}
    most = rng.random() * 1.1 * sum(work.values())
    fits = [c for k in range(7) for c in itertools.combinations(work, k) if sum(work[p] for p in c) < most]
    best = min((c for c in fits if len(c) == len(fits[-1])), default=())
    assert sweeps._affordable(work, most) == {p: work[p] for p in best}


def test_later_sweeps_take_on_the_same_layers(tree: Tree) -> None:
    first = Sweep().sizes(tree, 1.0, np.inf)
    some = dict(list(first.items())[:2])
    following = Sweep().following(tree, some, 3.0)
    assert following.refined == set(some) and following.size == 64.0
    assert following.expected(tree, some, 77.0) == pytest.approx(3.0)
    sizes = following.sizes(tree, 77.0, np.inf)
    work = sweeps._work(tree)
    assert sizes.keys() == some.keys() and sizes[max(some, key=lambda p: work[p])] == pytest.approx(64.0)


def test_later_sweeps_are_cut_down_to_half(tree: Tree) -> None:
    """Below that trees would be little larger than before."""
    following = Sweep().following(tree, Sweep().sizes(tree, 1.0, np.inf), 3.0)
    whole = following.sizes(tree, 1.0, np.inf)
    seconds = following.expected(tree, whole, 1.0)
    less = following.sizes(tree, 1.0, 0.6 * seconds)
    assert all(less[p] == pytest.approx(0.6 * size) for p, size in whole.items())
    assert following.sizes(tree, 1.0, 0.4 * seconds) == {}
