"""The table of categories that a run ends with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from verifier.bench.scoring import Score, dropped, score
from verifier.bench.store import Row

_HEADER = ("category", "instances", "sat", "unsat", "wrong", "late", "undecided", "errors", "time", "points", "reference", "score")


def scores(rows: Iterable[Row]) -> list[Score]:
    """One score a category, in the order of the rows; overhead rows do not count unless a category has nothing else."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.category, []).append(row)
    return [score(name, [row.outcome for row in [r for r in group if not dropped(r.onnx)] or group]) for name, group in groups.items()]


def table(rows: Iterable[Row]) -> str:
    found = scores(rows)
    lines = [_HEADER, *map(_cells, found)]
    if len(found) > 1:
        lines.append(_cells(_total(found)))
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEADER))]
    return "\n".join(_align(line, widths) for line in lines)


def _align(line: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:]))])


def _cells(s: Score) -> tuple[str, ...]:
    counts = (s.instances, s.sat, s.unsat, s.wrong, s.late, s.undecided, s.errors)
    reference = "-" if s.reference is None else str(s.reference)
    return (s.category, *map(str, counts), f"{s.seconds:.1f} s", str(s.points), reference, "-" if s.score is None else f"{s.score:.1f}")


def _total(found: Sequence[Score]) -> Score:
    """Sums; the total score of a track is the sum over its categories."""
    references = [s.reference for s in found if s.reference is not None]
    points = [s.score for s in found if s.score is not None]
    names = ("instances", "sat", "unsat", "wrong", "late", "undecided", "errors", "seconds", "points")
    sums = {name: sum(getattr(s, name) for s in found) for name in names}
    return replace(
        found[0], category="total", reference=sum(references) if references else None, score=sum(points) if points else None, **sums
    )
