"""The only place that can make a `sat`: onnxruntime on the original model, exact comparison, zero tolerance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from verifier.graph.replay import Evaluator
    from verifier.property.disjuncts import Disjunct


@dataclass(frozen=True, eq=False)
class Witness:
    """A confirmed counterexample: inputs (n,) and outputs (m,) in the model's types. literals: "exact", or "float32"
    where some input's interval holds no float of the model's type and the literals were read as float32."""

    x: np.ndarray
    y: np.ndarray
    disjunct: int
    literals: Literal["exact", "float32"]


@dataclass(eq=False)
class Gate:
    """Replays candidates; counts them. `disjuncts` are numbered as the candidates' `which`; dtype: of the model's inputs."""

    replay: Evaluator
    disjuncts: Sequence[Disjunct]
    dtype: np.dtype
    replayed: int = 0

    def confirm(self, x: np.ndarray, which: int) -> Witness | None:
        """The candidate x (n,), moved to the nearest floats strictly allowed by the box, if the original model confirms it."""
        disjunct = self.disjuncts[which]
        lower, upper = disjunct.inner(self.dtype)
        point = np.clip(np.asarray(x).astype(self.dtype), lower, upper)
        self.replayed += 1
        inputs, outputs = self.replay.run(point[None])
        if not np.isfinite(outputs).all():
            return None
        if disjunct.holds(inputs[0], outputs[0]):
            return Witness(inputs[0], outputs[0], which, "exact")
        if disjunct.thin(self.dtype).any() and disjunct.holds(inputs[0], outputs[0], float32_literals=True):
            return Witness(inputs[0], outputs[0], which, "float32")
        return None

    def first(self, x: np.ndarray, which: np.ndarray, margins: np.ndarray, most: int = 8) -> Witness | None:
        """The first confirmed candidate among those with a margin <= 0 (at most `most`), best margin first."""
        order = np.argsort(margins, kind="stable")
        for i in order[:most]:
            if not margins[i] <= 0:
                break
            witness = self.confirm(x[i], int(which[i]))
            if witness is not None:
                return witness
        return None
