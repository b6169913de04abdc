"""How a query is attacked: chosen from features of the network and the query alone, and said so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from verifier.arrays import varying
from verifier.bounds.cost import row_cost, rows_seconds
from verifier.bounds.forward import forms_cost
from verifier.errors import ConfigurationError
from verifier.graph.ir import Graph
from verifier.search.box_halves import INPUTS

_GPU_WORK = 3e9
"""Multiplications of one pass with a row a neuron from which on a GPU is worth the import of torch."""
_INPUT_SPLIT_INPUTS = 14
_INPUT_SPLIT_WORK = 1e10
"""Time of one box, a row a neuron, in multiplications of a dense product: above it a box takes longer than the clock may wait."""
_FORM_INPUTS = 10
"""With more inputs, boxes whose neurons do not get rows of their own are too many before they are narrow enough for forms."""
_FORM_BATCH = 2e10
"""Time of the forms of one batch, with which rows go that take a few times as long: about as long as the clock may wait."""
_ROWS, _EACH = 0.6, 5.0
"""Part of the time left that these may take; seconds that have to be left for each further box, as each has a root and a tree of its
own. On nn4sys cardinality_1_240_128_dual, with 240 boxes, boxes with forms take 9 s, and trees get nowhere in 20 s."""
_FIRST = "; halves of the box first, if few promise a proof"


@dataclass(frozen=True)
class Plan:
    """method: what is split. backend, device: where bounds are computed. batch: subproblems at once. reason: for people.

    forms: boxes are bounded by forward affine forms first, as a row a neuron would take too long.
    """

    method: Literal["input split", "neuron split"]
    backend: Literal["numpy", "torch"]
    batch: int
    reason: str
    device: Literal["cpu", "cuda"] = "cpu"
    forms: bool = False


def with_rows(plan: Plan, graph: Graph, loose: Mapping[int, int], boxes: int, seconds: float, cores: int, batch: int | None) -> Plan:
    """Neuron splits in place of boxes with forms, where the rows of the root take no more than a part of the `seconds` that are left:
    a row a neuron excludes what no number of boxes with forms does. loose: pre-activation -> neurons that are unstable by forms.
    boxes: that have a root each.

    On cgan imgSz32_nCh_1 prop_3 the root has the bound -0.007 by rows; 600 boxes have -0.7 by forms, in three times the time.
    """
    needed = boxes * rows_seconds(graph, loose, cores)
    if needed > _ROWS * seconds or seconds < _EACH * (boxes - 1):
        return plan
    rows = f"{sum(loose.values())} rows at the root take about {needed:.0f} s"
    reason = f"neuron split in {plan.backend} on the {plan.device}: {rows}{_FIRST}"
    return Plan("neuron split", plan.backend, batch or _neuron_batch(graph, plan.backend == "torch"), reason, plan.device)


def _neuron_batch(graph: Graph, gpu: bool) -> int:
    return int(np.clip(6_000_000 // max(1, sum(n.size for n in graph.nodes)), 8, 256)) * (8 if gpu else 1)


def row_work(graph: Graph) -> int:
    """Multiplications of one backward row through the whole network."""
    return sum(node.multiplications for node in graph.nodes)


def make_plan(
    graph: Graph, lower: np.ndarray, upper: np.ndarray, batch: int | None, device: Literal["auto", "cpu", "cuda"], gpus: Callable[[], int]
) -> Plan:
    """lower, upper (K, n): the boxes of the disjuncts. gpus: how many there are, asked only where it matters.

    Raises ConfigurationError where a GPU is asked for and there is none.
    """
    inputs = int(varying(lower, upper).any(axis=0).sum())
    work = row_work(graph)
    neurons = sum(graph.nodes[p].size for p in graph.preactivations)
    wanted = device == "cuda" or (device == "auto" and work * neurons > _GPU_WORK)
    found = wanted and gpus() > 0
    if device == "cuda" and not found:
        raise ConfigurationError(
            "there is no CUDA device", code="V306", hint="use --device cpu, or auto to use a GPU only where there is one"
        )
    backend: Literal["numpy", "torch"] = "torch" if found else "numpy"
    where: Literal["cpu", "cuda"] = "cuda" if found else "cpu"
    size = f"{inputs} of {lower.shape[1]} inputs vary, {neurons} neurons, {work} multiplications a row"
    if neurons == 0 or (inputs <= _INPUT_SPLIT_INPUTS and neurons * row_cost(graph) <= _INPUT_SPLIT_WORK):
        count = batch or int(np.clip(8_000_000 // max(1, neurons * max(1, neurons // 8)), 16, 1024))
        return Plan("input split", backend, count, f"input split in {backend} on the {where} ({size})", where)
    of_a_box = int(varying(lower, upper).sum(axis=1).max())
    if of_a_box <= _FORM_INPUTS and forms_cost(graph, of_a_box) <= _INPUT_SPLIT_WORK:
        reason = f"input split with forward affine forms in {backend} on the {where} ({size})"
        count = batch or int(np.clip(_FORM_BATCH / forms_cost(graph, of_a_box), 4, 256)) * (8 if found else 1)
        return Plan("input split", backend, count, reason, where, forms=True)
    reason = f"neuron split in {backend} on the {where} ({size}){_FIRST if of_a_box <= INPUTS else ''}"
    return Plan("neuron split", backend, batch or _neuron_batch(graph, found), reason, where)
