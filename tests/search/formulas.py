"""Formulas in conjunctive normal form as Relu networks over [0, 1]^n, with an assignment as the only kind of counterexample.

The first output is one less the number of clauses that are violated, c - sum of literals below one; the second one the sum of
min(x, 1 - x) = Relu(x) - Relu(2 x - 1), which is zero at assignments alone. The query asks for the first to be one and the second zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests import graphs
from verifier.bounds.targets import Targets
from verifier.graph.ir import Graph

Clauses = Sequence[Sequence[int]]
"""Literals: i + 1 for variable i, negative where it is negated."""


def network(clauses: Clauses, n: int) -> Graph:
    m = len(clauses)
    weights, biases = np.zeros((m + 2 * n, n)), np.zeros(m + 2 * n)
    for i, clause in enumerate(clauses):
        for literal in clause:
            weights[i, abs(literal) - 1] = -np.sign(literal)
        biases[i] = 1 - sum(literal < 0 for literal in clause)
    weights[m : m + n], weights[m + n :], biases[m + n :] = np.eye(n), 2 * np.eye(n), -1.0
    out = np.zeros((2, m + 2 * n))
    out[0, :m], out[1, m : m + n], out[1, m + n :] = -1.0, 1.0, -1.0
    return graphs.dense([weights.T, out.T], [biases, np.array([1.0, 0.0])])


def targets() -> Targets:
    """A counterexample has  1 - y_0 <= 0  and  y_1 <= 0."""
    return Targets(np.array([[[-1.0, 0.0], [0.0, 1.0]]]), None, np.array([[1.0, 0.0]]), np.zeros((1, 2), bool))


def random_clauses(rng: np.random.Generator, n: int, count: int) -> list[list[int]]:
    """Of three different variables."""
    return [[int(v) for v in (rng.choice(n, 3, replace=False) + 1) * rng.choice([-1, 1], 3)] for _ in range(count)]


def satisfying(clauses: Clauses, n: int) -> np.ndarray | None:
    """An assignment (n,) of zeros and ones, by trying all."""
    x = (np.arange(1 << n)[:, None] >> np.arange(n)) & 1 > 0
    holds = np.ones(len(x), bool)
    for clause in clauses:
        holds &= np.any([x[:, abs(v) - 1] == (v > 0) for v in clause], axis=0)
    return x[holds.argmax()].astype(float) if holds.any() else None
