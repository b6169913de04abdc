"""The region of a query around its counterexample, read again from the files that the verdict names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from verifier.errors import VerifierError

_MOST_BYTES = 32 << 20
"""Larger files are not read again for a report."""


@dataclass(frozen=True, eq=False)
class Region:
    """lower, upper (n,): the box of the violated disjunct in float64; shapes: of the network's inputs."""

    lower: np.ndarray
    upper: np.ndarray
    shapes: tuple[tuple[int, ...], ...]


def read(document: Mapping[str, Any]) -> Region | None:
    """None where the files are not there, are not the ones of the verdict, are large, or speak VNN-LIB 2."""
    found, query, network = document["counterexample"], document["query"], document["networks"][0]
    if not (query.get("language", "1.0").startswith("1") and _small(query["path"]) and _small(network["path"])):
        return None
    from verifier.graph import onnx_reader
    from verifier.property import vnnlib1

    try:
        prop, model = vnnlib1.read(Path(query["path"])), onnx_reader.read(Path(network["path"]))
    except (VerifierError, OSError):
        return None
    if (prop.sha256, model.sha256) != (query["sha256"], network["sha256"]) or found["disjunct"] >= len(prop.disjuncts):
        return None
    disjunct = prop.disjuncts[found["disjunct"]]
    return Region(np.asarray(disjunct.lower), np.asarray(disjunct.upper), model.input_shapes)


def _small(file: str) -> bool:
    path = Path(file)
    path = path if path.is_file() else path.with_name(path.name + ".gz")
    try:
        return path.stat().st_size <= _MOST_BYTES
    except (OSError, ValueError):  # no such file, or no name that a file can have
        return False
