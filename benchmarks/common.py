"""What the benchmarks measure on: networks and properties of specs/."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from verifier.arrays import numpy_arrays
from verifier.bounds.ascent import Schedule
from verifier.bounds.intermediate import RootBounds, root_bounds
from verifier.parallel import Workers
from verifier.problem import Problem, read
from verifier.search.query import Query

SPECS = Path(__file__).resolve().parents[1] / "specs"
EXACT = numpy_arrays()


def files(name: str) -> tuple[Path, Path]:
    """Network and query of a property in specs/."""
    return SPECS / "networks" / f"{name.split('_')[0]}.onnx", SPECS / "properties" / f"{name}.vnnlib"


@dataclass(frozen=True, eq=False)
class Case:
    problem: Problem
    query: Query
    root: RootBounds

    @property
    def box(self) -> tuple[np.ndarray, np.ndarray]:
        return self.query.lower[0], self.query.upper[0]


def case(name: str) -> Case:
    problem = read(*files(name))
    query = Query.of(problem.graph, problem.prop.disjuncts)
    with Workers(1) as workers:
        root = root_bounds(
            problem.graph, EXACT, query.lower[0], query.upper[0], Schedule(0), lambda: False, numpy_arrays(single=True), workers
        )
    return Case(problem, query, root)
