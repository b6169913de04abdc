"""The networks and properties of specs/: files that fit together, witnesses that replay, and the verifier's verdict on each.

The truths in expected.csv come from specs/confirm.py, which shares nothing with the verifier.
"""

from __future__ import annotations

import csv
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

SPECS = Path(__file__).resolve().parents[1] / "specs"
COLUMNS = ["network", "property", "verdict", "difficulty", "reason"]
TIMEOUT = 60


def rows() -> list[dict[str, str]]:
    with (SPECS / "expected.csv").open(newline="", encoding="ascii") as file:
        return list(csv.DictReader(file))


ROWS = rows()
VIOLATED = [row for row in ROWS if row["verdict"] == "sat"]


def name(row: dict[str, str]) -> str:
    return Path(row["property"]).stem


def outputs(network: Path, x: np.ndarray) -> np.ndarray:
    """The outputs (M,) at the float32 input (N,) by onnxruntime."""
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    shape = [d if isinstance(d, int) else 1 for d in entry.shape]
    return session.run(None, {entry.name: x.reshape(shape)})[0].ravel()


def box(text: str) -> tuple[list[Fraction], list[Fraction]]:
    """Exact bounds, one a line in the files of this folder."""
    sides: list[dict[int, Fraction]] = [{}, {}]
    for relation, index, number in re.findall(r"\(assert \((<=|>=) X_(\d+) (\S+?)\)\)", text):
        sides[relation == "<="][int(index)] = Fraction(number)
    if sorted(sides[0]) != sorted(sides[1]) or sorted(sides[0]) != list(range(len(sides[0]))):
        raise ValueError("an input lacks a bound")
    return [sides[0][i] for i in range(len(sides[0]))], [sides[1][i] for i in range(len(sides[1]))]


def violated(text: str, y: np.ndarray) -> bool:
    """Whether y meets all comparisons of one arm, exactly and strictly."""

    def value(term: str) -> Fraction:
        return Fraction(float(y[int(term[2:])])) if term.startswith("Y_") else Fraction(term)

    arms = re.findall(r"^    \(and (.*)\)$", text, re.MULTILINE)
    comparisons = [re.findall(r"\((<=|>=) (\S+) (\S+?)\)", arm) for arm in arms]
    return any(all(value(a) > value(b) if op == ">=" else value(a) < value(b) for op, a, b in arm) for arm in comparisons)


def test_the_table_is_well_formed() -> None:
    assert ROWS and list(ROWS[0]) == COLUMNS
    for row in ROWS:
        assert row["verdict"] in ("sat", "unsat") and row["difficulty"] in ("easy", "hard") and row["reason"], name(row)
    names = [row["property"] for row in ROWS]
    assert len(set(names)) == len(names)


def test_the_table_and_the_folders_agree() -> None:
    assert {row["network"] for row in ROWS} == {f"networks/{p.name}" for p in (SPECS / "networks").iterdir()}
    assert {row["property"] for row in ROWS} == {f"properties/{p.name}" for p in (SPECS / "properties").iterdir()}
    assert {name(row) for row in VIOLATED} == {p.stem for p in (SPECS / "witnesses").iterdir()}


def test_each_network_has_properties_of_every_kind() -> None:
    for network in {row["network"] for row in ROWS}:
        mine = [row for row in ROWS if row["network"] == network]
        assert {row["verdict"] for row in mine} == {"sat", "unsat"} and {row["difficulty"] for row in mine} == {"easy", "hard"}, network


def test_the_folder_stays_small() -> None:
    sizes = {path: path.stat().st_size for path in SPECS.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert max(sizes.values()) < 300_000 and sum(sizes.values()) < 2_000_000


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_network_and_property_fit(row: dict[str, str]) -> None:
    text = (SPECS / row["property"]).read_text(encoding="ascii")
    lower, upper = box(text)
    assert all(low <= high for low, high in zip(lower, upper))
    # Every bound is a float32, so that the text, the float32 network and the reals mean the same box.
    assert all(Fraction(float(np.float32(bound))) == bound for bound in (*lower, *upper))
    middle = np.array([float(low + high) / 2 for low, high in zip(lower, upper)], dtype=np.float32)
    y = outputs(SPECS / row["network"], middle)
    assert y.dtype == np.float32 and len(y) == len(set(re.findall(r"declare-const (Y_\d+) Real", text)))


@pytest.mark.parametrize("row", VIOLATED, ids=name)
def test_witness_replays_strictly(row: dict[str, str]) -> None:
    """Strictly inside the exact box (equal where an input is fixed), and strictly beyond the comparisons of an arm."""
    text = (SPECS / row["property"]).read_text(encoding="ascii")
    lower, upper = box(text)
    x = np.array((SPECS / "witnesses" / f"{name(row)}.txt").read_text(encoding="ascii").split(), dtype=np.float32)
    assert len(x) == len(lower)
    for low, value, high in zip(lower, map(Fraction, x.tolist()), upper):
        assert low < value < high or low == value == high
    assert violated(text, outputs(SPECS / row["network"], x))


def test_batch_normalisation_is_still_there() -> None:
    onnx = pytest.importorskip("onnx")
    kinds = [node.op_type for node in onnx.load(str(SPECS / "networks" / "residual.onnx")).graph.node]
    assert kinds.count("BatchNormalization") == 6 and kinds.count("Add") == 2


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=name)
def test_the_verifier_agrees(row: dict[str, str]) -> None:
    """Easy rows are decided and right; hard rows are never wrong."""
    engine = pytest.importorskip("verifier.engine", exc_type=ModuleNotFoundError)
    from verifier.config import Settings

    settings = Settings().with_options({"search.timeout": TIMEOUT, "search.device": "cpu"})
    status = engine.verify(SPECS / row["network"], SPECS / row["property"], settings).status
    if row["difficulty"] == "easy" or status.decided:
        assert status.value == row["verdict"]
