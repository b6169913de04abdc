"""The live table of a suite on a terminal (rich): categories, what runs, a bar with the time left. Results scroll by above it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from verifier.bench.progress import span

if TYPE_CHECKING:
    from verifier.bench.progress import Progress, Running, Tally

_MOST_ROWS = 12
"""Categories shown: those that are begun and not done come first."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Not the end of the program, which is rich's way."""
        raise BrokenPipeError


class Screen:
    """What `progress` counts, on the terminal behind `stream`. Raises OSError where that is gone."""

    def __init__(self, progress: Progress, stream: IO[str]):
        self._progress = progress
        self._console = _Console(file=stream, force_terminal=True, highlight=False, markup=False, emoji=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)
        self._running: Sequence[Running] = ()
        self._live.start()

    def print(self, line: str, wrong: bool) -> None:
        self._console.print(Text(line, style="bold red" if wrong else ""), soft_wrap=True)

    def show(self, running: Sequence[Running]) -> None:
        self._running = running
        self._live.update(self._picture(), refresh=True)

    def close(self) -> None:
        self._live.stop()

    def _picture(self) -> Group:
        categories = self._progress.categories
        order = sorted(categories, key=lambda name: _urgency(categories[name]))
        shown = set(order[:_MOST_ROWS])
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("category")
        for heading in ("done", "sat", "unsat", "undecided", "wrong", "errors"):
            table.add_column(heading, justify="right")
        for name in categories:
            if name in shown:
                table.add_row(name, *_cells(categories[name]))
        if len(categories) > 1:
            table.add_row("all", *_cells(self._progress.all), style="bold")
        return Group(table, *map(_at_work, self._running), self._bar())

    def _bar(self) -> Table:
        counts, times = self._progress.all, f"{span(self._progress.passed)} passed, {span(self._progress.left())} left"
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_row(f"{counts.done}/{counts.total} done, {counts.solved} solved", ProgressBar(max(1, counts.total), counts.done, 30), times)
        return row


def _urgency(tally: Tally) -> int:
    return 2 if tally.done == tally.total else 0 if tally.done else 1


def _cells(tally: Tally) -> list[Text]:
    count = tally.statuses
    undecided = count["unknown"] + count["timeout"]
    numbers = (f"{tally.done}/{tally.total}", count["sat"], count["unsat"], undecided, tally.wrong, count["error"])
    alarms = ("", "", "", "", "bold red" if tally.wrong else "", "red" if count["error"] else "")
    return [Text(str(number), style=alarm) for number, alarm in zip(numbers, alarms)]


def _at_work(running: Running) -> Text:
    text = f"{running.seconds:7.1f} s of {running.timeout:g} s  {running.instance.onnx}  {running.instance.vnnlib}"
    return Text(text, style="dim", no_wrap=True, overflow="ellipsis")
