"""What a VNN-LIB 2 query declares, and where its variables lie in the joint flat input and output.

The joint output joins the hidden nodes and outputs of all networks in the order of their declaration. The declared inputs are
joined in the same way; those that the query makes equal share one element of the joint input (`Declarations.sources`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["input", "hidden", "output"]

REAL_TYPE = "real"
FLOAT_TYPES = ("float16", "float32", "float64", "bfloat16", "float8e4m3fn", "float8e5m2", "float8e4m3fnuz", "float8e5m2fnuz", "float4e2m1")
INTEGER_TYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
REFUSED_TYPES = ("complex64", "complex128", "bool")
"""Legal element types whose values are no numbers on the real line."""


@dataclass(frozen=True)
class Variable:
    """offset: of the first element among all declared inputs, or in the joint output. tensor: the ONNX name of a hidden node."""

    network: str
    name: str
    kind: Kind
    dtype: str
    shape: tuple[int, ...]
    offset: int
    tensor: str = ""

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def strides(self) -> tuple[int, ...]:
        """Of the flat index, in C order."""
        return tuple(math.prod(self.shape[i + 1 :]) for i in range(len(self.shape)))


@dataclass(frozen=True)
class Network:
    """equal_to, isomorphic_to: the name of another network, or empty. variables: in the order of their declaration."""

    name: str
    equal_to: str
    isomorphic_to: str
    variables: tuple[Variable, ...]

    def of(self, kind: Kind) -> tuple[Variable, ...]:
        return tuple(v for v in self.variables if v.kind == kind)


@dataclass(frozen=True, eq=False)
class Declarations:
    """sources (declared inputs,) int64: for each declared input element its position in the joint input."""

    networks: tuple[Network, ...]
    sources: np.ndarray

    @property
    def variables(self) -> tuple[Variable, ...]:
        return tuple(v for n in self.networks for v in n.variables)

    @property
    def needed(self) -> tuple[str, ...]:
        """The networks that have a file of their own."""
        return tuple(n.name for n in self.networks if not n.equal_to)

    def inputs(self, network: Network) -> np.ndarray:
        """Positions (k,) in the joint input of what `network` reads, its inputs flattened and joined."""
        parts = [self.sources[v.offset : v.offset + v.size] for v in network.of("input")]
        return np.concatenate(parts)

    def values(self, variable: Variable, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The elements (size,) of `variable` at the joint input x (n,) and the joint output y (m,)."""
        if variable.kind == "input":
            return x[self.sources[variable.offset : variable.offset + variable.size]]
        return y[variable.offset : variable.offset + variable.size]
