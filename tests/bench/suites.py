"""Suites and rows for tests."""

from __future__ import annotations

from pathlib import Path

from tests.models import QUERY, model
from verifier.bench.scoring import Truth
from verifier.bench.store import Row

HOLDS, VIOLATED = QUERY, QUERY.replace("3.0", "1.5")


def suite(folder: Path, queries: dict[str, str], timeout: str = "20") -> Path:
    """A category with one network, a query a row, and the table."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vnnlib").mkdir(exist_ok=True)
    (folder / "onnx").mkdir(exist_ok=True)
    model(folder / "onnx")
    for name, text in queries.items():
        (folder / "vnnlib" / name).write_text(text)
    (folder / "instances.csv").write_text("".join(f"onnx/net.onnx,vnnlib/{name},{timeout}\n" for name in queries))
    return folder


def row(position: int = 0, status: str = "unsat", seconds: float = 1.0, truth: Truth | None = None, **changes: object) -> Row:
    fields: dict[str, object] = {"category": "c", "onnx": "n.onnx", "vnnlib": f"q{position}.vnnlib", "timeout": 10.0, **changes}
    return Row(position=position, status=status, seconds=seconds, truth=truth, **fields)  # type: ignore[arg-type]
