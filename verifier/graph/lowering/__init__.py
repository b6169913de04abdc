"""From ONNX operators to the graph's affine primitives and elementwise functions: one handler an ONNX operator.

The lowering is exact over the reals: coefficients are the file's own numbers, or carry the number of roundings that made them
(`operators.affine.Scale`). A handler refuses, by name, what it does not implement.
"""

from __future__ import annotations

from verifier.graph.lowering import (
    arithmetic,
    constants,
    convolution,
    einsum,
    elementwise,
    extremes,
    indexing,
    linear,
    logic,
    movement,
    normalisation,
    resizing,
    transposed,
)
from verifier.graph.lowering.context import HANDLERS, Builder, Value, constant, lower_node

_FAMILIES = (
    arithmetic, constants, convolution, einsum, elementwise, extremes, indexing, linear, logic, movement, normalisation, resizing,
    transposed,
)
"""Imported for what they register."""


def supported_operators() -> tuple[str, ...]:
    """Names of the ONNX operators that have a handler, sorted."""
    return tuple(sorted(HANDLERS))


__all__ = ["Builder", "Value", "constant", "lower_node", "supported_operators"]
