"""Ascents that are recorded once and replayed: here with a stand-in that computes anew, on a CUDA device with the real thing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests import graphs
from verifier.arrays import Arrays, cuda_devices, to_numpy
from verifier.bounds import recorded
from verifier.bounds.ascent import Ascent, Schedule, initial_parameters
from verifier.bounds.dual import Interval
from verifier.bounds.recorded import Recorder
from verifier.graph.ir import Graph
from verifier.operators.ball import Norm, NormBall

SEEDS = range(12)


def ascent(graph: Graph, arrays: Arrays, batch: int, seed: int, root: Any, iterations: int = 4) -> Ascent:
    """Of two rows for `batch` subproblems, each within enclosures of its own; multipliers move in every other one."""
    rng = np.random.default_rng(seed)
    known, signs = {}, {}
    for p, b in root.items():
        middle, low, high = 0.5 * (b.lower + b.upper), b.lower, b.upper
        share = rng.random((batch, b.lower.shape[1]))
        known[p] = Interval(arrays.asarray(low + share * (middle - low)), arrays.asarray(high - share * (high - middle)))
        signs[p] = arrays.asarray(rng.integers(-1, 3, (batch, 1, b.lower.shape[1])))
    lower, upper = (arrays.asarray(side * np.ones((batch, graph.input_size))) for side in (-1.0, 1.0))
    rows = {graph.output: arrays.asarray(rng.normal(size=(batch, 2, *graph.nodes[graph.output].shape)))}
    graph = graph.to(arrays)
    return Ascent(graph, rows, lower, upper, known, initial_parameters(graph, graph.output, known), signs, Schedule(iterations))


def case(seed: int) -> tuple[Graph, Any]:
    graph = graphs.random_graph(np.random.default_rng(seed), 8)
    bounds = graphs.root(graph, graphs.EXACT, -np.ones(graph.input_size), np.ones(graph.input_size))
    return graph, bounds.preactivations


def never(found: Ascent) -> tuple[Any, Any]:
    return found.run(None, lambda: False)


def flat(found: Any) -> list[np.ndarray]:
    return [to_numpy(a) for a in recorded._leaves(found)]


@pytest.mark.parametrize("arrays", [graphs.EXACT, *map(graphs.torch64, graphs.DEVICES)], ids=lambda a: str(a.device))
@pytest.mark.parametrize("seed", SEEDS)
def test_replays_equal_runs(seed: int, arrays: Arrays) -> None:
    """Whatever batches of the same shape came before; larger ones than a recording is made for leave the others alone."""
    graph, root = case(seed)
    made: list[int] = []
    on_device = Recorder.on(arrays)
    recorder = on_device or Recorder(graphs.eager_record(made))
    for number in range(recorded._FEW):
        assert recorder.run(ascent(graph, arrays, 5 + number, number, root)) is None
    for batch, number in ((5, 1), (8, 2), (3, 3), (5, 4), (1, 5)):
        given = ascent(graph, arrays, batch, number, root)
        found = recorder.run(given)
        for _ in range(recorded._FEW if batch == 1 else 0):  # what is broadcast has the same shape as what is not
            found = found or recorder.run(given)
        truth = never(given)
        assert found is not None and set(found[0].q) == set(truth[0].q)
        for a, b in zip(flat(found), flat(truth)):
            np.testing.assert_allclose(np.broadcast_to(a, b.shape) if b.shape[0] == batch else a, b, rtol=1e-9, atol=1e-9)
    assert recorder.run(ascent(graph, arrays, 12, 6, root)) is None
    assert on_device is not None or len(made) <= 2


def test_nothing_is_recorded_where_there_is_enough_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, root = case(0)
    recorder, made = Recorder(graphs.eager_record(found := [])), found
    monkeypatch.setattr(recorded, "_LARGEST", 8 * 2 * sum(node.size for node in graph.nodes) - 1)
    for number in range(recorded._FEW + 1):
        assert recorder.run(ascent(graph, graphs.EXACT, 8, number, root)) is None
    assert not made


def test_an_ascent_that_ends_by_what_it_gains_is_not_recorded() -> None:
    graph, root = case(0)
    recorder = Recorder(graphs.eager_record(found := []))
    for number in range(recorded._FEW + 1):
        given = ascent(graph, graphs.EXACT, 8, number, root)
        assert recorder.run(replace(given, schedule=Schedule(4, worth=0.1))) is None
    assert not found


def test_no_recorder_without_a_device_that_needs_one() -> None:
    assert Recorder.on(graphs.EXACT) is None and Recorder.on(graphs.torch64()) is None
    assert (Recorder.on(graphs.torch64("cuda")) is not None) if cuda_devices() else True


def of_every_function(ball: NormBall | None) -> list[tuple[Graph, Any]]:
    """A layer of each function between two others, and its enclosures over [-1, 1]^3."""
    found, rng = [], np.random.default_rng(0)
    for operator in (*graphs.PIECEWISE, *graphs.SMOOTH, *graphs.CURVED, *graphs.STEPS):
        b = graphs.Builder(3)
        b.linear(b.relu(b.apply_within(operator, b.linear(0, rng.normal(size=(3, 4))))), rng.normal(size=(4, 2)))
        graph = b.graph().within(ball)
        found.append((graph, graphs.root(graph, graphs.EXACT, -np.ones(3), np.ones(3)).preactivations))
    return found


def test_an_ascent_waits_for_nothing() -> None:
    """No number is made from Python's, none is read, and nothing is chosen by a mask: each would wait for a device, and cannot be
    recorded. What is moved once, at first, is not meant."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    seen: Counter[str] = Counter()

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen[function._schema.name] += 1
            if function._schema.name == "aten::index":
                seen["mask"] += any(i is not None and i.dtype == torch.bool for i in args[1])
            return function(*args, **(kwargs or {}))

    norms: tuple[Norm, ...] = "l1", "l2"
    balls = (NormBall.of(norm, [Fraction(0)] * 3, [Fraction(1)] * 3, Fraction(3, 2)) for norm in norms)
    every = [c for ball in (None, *balls) for c in of_every_function(ball)]
    for seed, (graph, root) in enumerate([*map(case, range(12)), *every]):
        given = ascent(graph, graphs.torch64(), 3, seed, root, iterations=2)
        never(given)
        with Watch():
            never(given)
    waits = {"aten::_local_scalar_dense", "aten::nonzero", "aten::lift_fresh", "aten::_to_copy", "mask"}
    assert seen["aten::add"] and not waits & set(+seen), waits & set(+seen)
