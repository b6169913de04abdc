"""This verifier and others from the Python package index on the same instances, one run after another.

    python -m benchmarks.peers --benchmarks FOLDER --instances 5 --limit 60

Each peer lives in a virtual environment of its own; one that cannot be installed is reported and left out. All get the same files,
unpacked, and the same limit. A verdict is wrong where the stored one contradicts it. Times are wall-clock times of whole processes;
what is not solved counts with the limit.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from verifier.bench import scoring, suite

ROOT = Path(__file__).resolve().parents[1]
GRACE = 10.0
"""Seconds after the limit in which a tool may end by itself."""
DECIDED = ("sat", "unsat")
T = TypeVar("T")


@dataclass(frozen=True)
class Tool:
    """package: on the index, empty for this verifier. command: how it is called; verdict: a pattern whose group is the last word said."""

    name: str
    package: str
    command: str
    verdict: str


OURS = Tool(
    "verifier", "", "{python} -m verifier verify {net} {spec} --timeout {limit} --device cpu -q", r"^(sat|unsat|unknown|timeout|timed-out)$"
)
PEERS = (
    Tool(
        "neuralsat", "neuralsat", "{python} {site}/src/main.py --net {net} --spec {spec} --timeout {limit} --device cpu", r"Result: (\w+)"
    ),
    Tool("marabou", "maraboupy", "{bin}/Marabou {net} {spec} --timeout {limit} --verbosity 0", r"^(sat|unsat|Timeout|UNKNOWN)$"),
    Tool("vibecheck", "vibecheck-nn", "{bin}/vibecheck --net {net} --spec {spec} --timeout {limit} --device cpu", r"verdict: (\w+)"),
)


@dataclass(frozen=True)
class Instance:
    category: str
    net: Path
    spec: Path
    limit: float
    truth: str | None


@dataclass(frozen=True)
class Result:
    """memory_mb: peak of the largest process, in 2^20 bytes."""

    verdict: str
    seconds: float
    memory_mb: float


def instances(folder: Path, count: int, limit: float) -> list[Instance]:
    """`count` instances of every category, evenly spaced; those over several networks are left out."""
    if (folder / "expected.csv").is_file():
        return _spaced(list(_bundled(folder, limit)), count)
    found = []
    for category in suite.read(folder):
        known = scoring.truths(category.folder, category.instances)
        rows = [i for i in category.instances if not i.missing and len(i.networks) == 1 and not i.networks[0][0]]
        for i in _spaced(rows, count):
            truth = known[i.position].verdict if i.position in known else None
            found.append(Instance(category.name, i.networks[0][1], i.query, min(i.timeout, limit), truth))
    return found


def _bundled(folder: Path, limit: float) -> Iterator[Instance]:
    with (folder / "expected.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield Instance(folder.name, folder / row["network"], folder / row["property"], limit, row["verdict"])


def _spaced(rows: Sequence[T], count: int) -> list[T]:
    return [rows[(2 * k + 1) * len(rows) // (2 * count)] for k in range(count)] if len(rows) > count else list(rows)


def installed(tool: Tool, folder: Path) -> Path | None:
    """The virtual environment of a peer, made if it is not there; None where it cannot be installed."""
    home = folder / tool.name
    if (home / ".done").is_file():
        return home
    print(f"installing {tool.package} ...", flush=True)
    commands = ([sys.executable, "-m", "venv", str(home)], [str(home / "bin" / "pip"), "install", "-q", tool.package])
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            print(f"{tool.name} is left out: {tool.package} cannot be installed: {reason}", flush=True)
            return None
    (home / ".done").touch()
    return home


def command(tool: Tool, home: Path | None, net: Path, spec: Path, limit: float) -> list[str]:
    python = sys.executable if home is None else str(home / "bin" / "python")
    site = "" if home is None else next((str(p) for p in home.glob("lib/python*/site-packages")), "")
    folder = "" if home is None else str(home / "bin")
    places = {"python": python, "bin": folder, "site": site, "net": net, "spec": spec, "limit": f"{limit:g}"}
    return [part.format(**places) for part in shlex.split(tool.command)]


def run(tool: Tool, arguments: Sequence[str], limit: float) -> Result:
    """One process and what it starts; all of them are ended when it is over."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        # A search path of this verifier's could shadow the modules of a peer.
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH" or not tool.package}
        process = subprocess.Popen(
            arguments, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, cwd=folder, env=environment
        )
        killer = threading.Timer(limit + GRACE, os.killpg, (process.pid, signal.SIGKILL))
        killer.start()
        _, _, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        killer.cancel()
        process.returncode = 0  # it has been waited for
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        output.seek(0)
        said = re.findall(tool.verdict, output.read().decode(errors="replace"), re.MULTILINE)
    word = said[-1].lower() if said else "error"
    verdict = word if word in (*DECIDED, "error") else "unknown"
    return Result("timeout" if verdict == "error" and seconds >= limit else verdict, seconds, usage.ru_maxrss / 1024)


def unpacked(path: Path, folder: Path) -> Path:
    """`path`, or what is in `path`.gz."""
    if path.is_file() and path.suffix != ".gz":
        return path
    target = folder / path.name.removesuffix(".gz")
    if not target.exists():
        packed = path if path.suffix == ".gz" else path.with_name(path.name + ".gz")
        with gzip.open(packed) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file)
    return target


def table(category: str, rows: Sequence[Instance], results: dict[str, list[Result]]) -> Iterator[str]:
    """One line a tool: solved, wrong, total and median seconds, memory, and the total as a multiple of this verifier's."""
    yield f"{category} ({len(rows)} instances)"
    yield f"  {'':<12}{'solved':>7}{'wrong':>7}{'total s':>10}{'median s':>10}{'memory GB':>11}{'ratio':>8}"
    totals = {}
    for name, found in results.items():
        right = [r.verdict in DECIDED and (i.truth is None or i.truth not in DECIDED or r.verdict == i.truth) for i, r in zip(rows, found)]
        wrong = sum(r.verdict in DECIDED and not ok for r, ok in zip(found, right))
        seconds = [r.seconds if ok else max(i.limit, r.seconds) for i, r, ok in zip(rows, found, right)]
        totals[name] = sum(seconds)
        memory = max(r.memory_mb for r in found) / 1024
        numbers = f"{totals[name]:>10.1f}{statistics.median(seconds):>10.2f}{memory:>11.2f}{totals[name] / totals[OURS.name]:>8.2f}"
        yield f"  {name:<12}{sum(right):>7}{wrong:>7}{numbers}"


def compare(chosen: Sequence[Instance], tools: Sequence[tuple[Tool, Path | None]]) -> None:
    """Run everything in turn and print a table a category, then one of all."""
    everything: list[Instance] = []
    overall: dict[str, list[Result]] = {tool.name: [] for tool, _ in tools}
    for category in dict.fromkeys(i.category for i in chosen):
        rows = [i for i in chosen if i.category == category]
        results: dict[str, list[Result]] = {tool.name: [] for tool, _ in tools}
        for i in rows:
            with tempfile.TemporaryDirectory() as folder:
                net, spec = unpacked(i.net.resolve(), Path(folder)), unpacked(i.spec.resolve(), Path(folder))
                for tool, home in tools:
                    results[tool.name].append(run(tool, command(tool, home, net, spec, i.limit), i.limit))
            said = {name: found[-1].verdict for name, found in results.items()}
            if len(set(said.values()) & set(DECIDED)) > 1:
                print(f"contradiction about {i.net.name} {i.spec.name}: {said}, stored: {i.truth}", flush=True)
        print("\n".join(table(category, rows, results)), flush=True)
        everything += rows
        for name, found in results.items():
            overall[name] += found
    if len({i.category for i in chosen}) > 1:
        print("\n".join(table("all", everything, overall)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--benchmarks", type=Path, required=True, help="a suite, or a folder of suites; specs/ where it is missing")
    parser.add_argument("--instances", type=int, default=3, help="a category")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds an instance, at most")
    parser.add_argument("--peers", default=",".join(peer.name for peer in PEERS), help="which, by commas")
    parser.add_argument("--environments", type=Path, default=ROOT / ".peers", help="where the peers are installed")
    options = parser.parse_args()
    folder = options.benchmarks if options.benchmarks.is_dir() else ROOT / "specs"
    names = options.peers.split(",")
    homes = [(peer, installed(peer, options.environments.resolve())) for peer in PEERS if peer.name in names]
    tools: list[tuple[Tool, Path | None]] = [(OURS, None), *((peer, home) for peer, home in homes if home is not None)]
    chosen = instances(folder.resolve(), options.instances, options.limit)
    print(f"{len(chosen)} instances of {folder}, {options.limit:g} s each at most: {', '.join(tool.name for tool, _ in tools)}", flush=True)
    compare(chosen, tools)
    return 0


if __name__ == "__main__":
    sys.exit(main())
