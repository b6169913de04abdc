"""One run of a suite from its files to stored results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from verifier import __version__
from verifier.bench import runner
from verifier.bench.progress import Progress
from verifier.bench.scoring import Truth, truths
from verifier.bench.store import Row, Store
from verifier.bench.suite import Category, Instance


@dataclass(frozen=True)
class Options:
    """`settings`: option -> value for every instance; `scale` and `cap` (seconds or None) make the timeout of an instance from the
    suite's; `grace`: seconds from there to the kill; `partition`: (i, n), every n-th instance from the i-th on, counted from 1."""

    output: Path
    settings: Mapping[str, Any]
    jobs: int = 1
    partition: tuple[int, int] = (1, 1)
    resume: bool = False
    scale: float = 1.0
    cap: float | None = None
    grace: float = 5.0

    def timeout(self, instance: Instance) -> float:
        scaled = instance.timeout * self.scale
        return scaled if self.cap is None else min(scaled, self.cap)


@dataclass(frozen=True)
class Finished:
    """`rows`: everything that is stored, earlier runs included; `complete`: nothing was left out by a signal."""

    rows: list[Row]
    complete: bool


def share(categories: Sequence[Category], partition: tuple[int, int]) -> list[Instance]:
    """The part's instances; neighbours go to different parts, so that the parts take about as long as each other."""
    instances = [instance for category in categories for instance in category.instances]
    return instances[partition[0] - 1 :: partition[1]]


def bench(categories: Sequence[Category], options: Options, stream: IO[str] | None, stop: Callable[[], bool]) -> Finished:
    """Run what is not stored yet, store each result as it comes, write the CSV. Raises StorageError and UsageError."""
    known = {c.name: truths(c.folder, c.instances) for c in categories}
    folders = {c.name: str(c.folder) for c in categories}
    instances = share(categories, options.partition)
    with Store(options.output, {"verifier": __version__, "settings": dict(options.settings)}, options.resume) as store:
        todo = _open(instances, store.rows(), options)
        progress = Progress(stream, todo, options.jobs, sum(map(options.timeout, todo)))

        def done(answer: runner.Answer) -> None:
            category = answer.instance.category
            row = _row(answer, known[category].get(answer.instance.position), folders[category])
            store.add(row)
            progress.add(row)

        plan = runner.Plan(options.settings, options.timeout, options.jobs, options.grace, options.output)
        try:
            if todo:
                runner.run(todo, plan, done, stop, progress.tick)
        finally:
            progress.close()
        store.export()
        rows = store.rows()
    stored = {row.key for row in rows}
    return Finished(rows, all((i.category, i.position) in stored for i in instances))


def _open(instances: Sequence[Instance], rows: Sequence[Row], options: Options) -> list[Instance]:
    """What has no result yet. An error, or a row that has changed since, is run again; so is what had less time and used it up."""
    stored = {row.key: row for row in rows if row.status != "error"}

    def settled(instance: Instance) -> bool:
        row = stored.get((instance.category, instance.position))
        if row is None or (row.onnx, row.vnnlib) != (instance.onnx, instance.vnnlib):
            return False
        return row.status in ("sat", "unsat") or row.timeout >= options.timeout(instance)

    return [instance for instance in instances if not settled(instance)]


def _row(answer: runner.Answer, truth: Truth | None, folder: str) -> Row:
    i = answer.instance
    names = (i.category, i.position, i.onnx, i.vnnlib)
    return Row(*names, answer.timeout, answer.status, answer.seconds, truth, answer.document, answer.error, folder)
