"""How a query is attacked: chosen from features of the network and the query alone, and said so."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from verifier.graph.ir import Graph
from verifier.operators.affine import Conv, Linear

_NUMPY_WORK = 3e9
"""Multiplications of one pass with a row a neuron up to which numpy is used: below, importing torch costs more than it saves."""
_INPUT_SPLIT_INPUTS = 14
_INPUT_SPLIT_WORK = 4_000_000


@dataclass(frozen=True)
class Plan:
    """method: what is split. backend: where bounds are computed. batch: subproblems at once. reason: a sentence for people."""

    method: Literal["input split", "neuron split"]
    backend: Literal["numpy", "torch"]
    batch: int
    reason: str


def row_work(graph: Graph) -> int:
    """Multiplications of one backward row through the whole network."""
    work = 0
    for node in graph.nodes:
        if isinstance(node.operator, Linear):
            work += node.operator.weight.size * max(1, node.size // node.operator.weight.shape[1])
        elif isinstance(node.operator, Conv):
            work += node.size * math.prod(node.operator.weight.shape[1:])
    return work


def make_plan(graph: Graph, lower: np.ndarray, upper: np.ndarray, batch: int | None, device: str) -> Plan:
    """lower, upper (K, n): the boxes of the disjuncts."""
    varying = int((upper > lower).any(axis=0).sum())
    work = row_work(graph)
    neurons = sum(graph.nodes[p].size for p in graph.preactivations)
    backend: Literal["numpy", "torch"] = "torch" if device == "cuda" else "numpy"
    size = f"{varying} of {lower.shape[1]} inputs vary, {neurons} neurons, {work} multiplications a row"
    if neurons == 0 or (varying <= _INPUT_SPLIT_INPUTS and work <= _INPUT_SPLIT_WORK):
        count = batch or int(np.clip(8_000_000 // max(1, neurons * max(1, neurons // 8)), 16, 1024))
        return Plan("input split", backend, count, f"input split in {backend} ({size})")
    count = batch or int(np.clip(6_000_000 // max(1, sum(n.size for n in graph.nodes)), 8, 256))
    return Plan("neuron split", backend, count, f"neuron split in {backend} ({size})")
