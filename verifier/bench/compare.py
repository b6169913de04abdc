"""Two runs of a suite side by side: who solved what, who was faster, and where they contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from verifier.bench.scoring import DECIDED, contradicts
from verifier.bench.store import Row

FASTER_BY = 1.1
"""A time has to be this many times shorter, and by `FASTER_SECONDS`, to count as faster: less is noise."""
FASTER_SECONDS = 0.1

Pair = tuple[Row, Row]


@dataclass
class Comparison:
    """Rows that both runs have; `faster` holds (A, B) counts over what both solved, `seconds` their sums of times."""

    category: str
    both: int = 0
    only: list[int] = field(default_factory=lambda: [0, 0])
    neither: int = 0
    faster: list[int] = field(default_factory=lambda: [0, 0])
    seconds: list[float] = field(default_factory=lambda: [0.0, 0.0])
    contradictions: list[Pair] = field(default_factory=list)

    def add(self, pair: Pair) -> None:
        solved = [row.status in DECIDED and not row.outcome.late for row in pair]
        if contradicts(pair[0].status, pair[1].status):
            self.contradictions.append(pair)
        elif all(solved):
            self.both += 1
            self._time(pair)
        elif any(solved):
            self.only[solved.index(True)] += 1
        else:
            self.neither += 1

    def _time(self, pair: Pair) -> None:
        times = [row.seconds for row in pair]
        for i in (0, 1):
            self.seconds[i] += times[i]
            self.faster[i] += times[i] * FASTER_BY < times[1 - i] and times[i] + FASTER_SECONDS < times[1 - i]


@dataclass(frozen=True)
class Result:
    comparisons: tuple[Comparison, ...]
    unmatched: tuple[int, int]

    @property
    def contradictions(self) -> list[Pair]:
        return [pair for comparison in self.comparisons for pair in comparison.contradictions]


def compare(a: Sequence[Row], b: Sequence[Row]) -> Result:
    """Rows are matched by category, network and query; a repeated row by its turn."""
    left, right = _keyed(a), _keyed(b)
    found: dict[str, Comparison] = {}
    for key, row in left.items():
        if key in right:
            found.setdefault(row.category, Comparison(row.category)).add((row, right[key]))
    common = left.keys() & right.keys()
    return Result(tuple(found.values()), (len(left) - len(common), len(right) - len(common)))


def _keyed(rows: Sequence[Row]) -> dict[tuple[str, str, str, int], Row]:
    found: dict[tuple[str, str, str, int], Row] = {}
    for row in rows:
        turn = 0
        while (key := (row.category, _stem(row.onnx), _stem(row.vnnlib), turn)) in found:
            turn += 1
        found[key] = row
    return found


def _stem(path: str) -> str:
    """The file's name: result tables of the competition name the same file by other folders."""
    return path if path.startswith("[") else path.rsplit("/", 1)[-1].removesuffix(".gz")


def report(result: Result, names: tuple[str, str]) -> list[tuple[str, bool]]:
    """(line, whether it tells of a contradiction)."""
    lines = [(f"A = {names[0]}", False), (f"B = {names[1]}", False)]
    header = (
        f"{'category':<24}{'both':>7}{'only A':>8}{'only B':>8}{'neither':>9}{'A faster':>10}{'B faster':>10}{'time A':>12}{'time B':>12}"
    )
    lines.append((header, False))
    lines += [(_line(c), False) for c in result.comparisons]
    for side, count in zip("AB", result.unmatched):
        if count:
            lines.append((f"{count} rows are in {side} only", False))
    for a, b in result.contradictions:
        lines.append((f"CONTRADICTION  {a.category}  {a.onnx}  {a.vnnlib}: A says {a.status}, B says {b.status}", True))
    return lines


def _line(c: Comparison) -> str:
    counts = f"{c.both:>7}{c.only[0]:>8}{c.only[1]:>8}{c.neither:>9}{c.faster[0]:>10}{c.faster[1]:>10}"
    return f"{c.category:<24}{counts}{c.seconds[0]:>10.1f} s{c.seconds[1]:>10.1f} s"
