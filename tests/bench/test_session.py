from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.suites import row, suite
from verifier.bench import runner, session
from verifier.bench.runner import Answer
from verifier.bench.session import Options
from verifier.bench.suite import Category, Instance, read


class FakeRunner:
    """Answers without processes; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = "unsat"

    def run(self, instances: list[Instance], plan: runner.Plan, done: object, stop: object, tick: object) -> None:
        for instance in instances:
            if stop():  # type: ignore[operator]
                return
            self.asked.append(instance.vnnlib)
            done(Answer(instance, plan.timeout(instance), self.status, 0.5))  # type: ignore[operator]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRunner:
    found = FakeRunner()
    monkeypatch.setattr(runner, "run", found.run)
    return found


def never() -> bool:
    return False


def test_a_run_is_stored_and_resumed(tmp_path: Path, fake: FakeRunner) -> None:
    categories = read(suite(tmp_path / "s", {f"q{i}.vnnlib": "" for i in range(4)}))
    (tmp_path / "s" / "verdicts.csv").write_text("onnx,vnnlib,verdict\nonnx/net.onnx,vnnlib/q1.vnnlib,sat\n")
    options = Options(tmp_path / "out", {}, cap=5.0)
    part = session.bench(categories, options, None, lambda: len(fake.asked) == 2)
    assert len(part.rows) == 2 and not part.complete
    whole = session.bench(categories, replace(options, resume=True), None, never)
    assert whole.complete and fake.asked == [f"vnnlib/q{i}.vnnlib" for i in range(4)]
    assert [r.outcome.wrong for r in whole.rows] == [False, True, False, False] and whole.rows[0].timeout == 5.0
    assert len((tmp_path / "out" / "results.csv").read_text().splitlines()) == 4


def test_what_is_run_again(tmp_path: Path) -> None:
    (category,) = read(suite(tmp_path, {f"q{i}.vnnlib": "" for i in range(6)}, timeout="10"))
    named = {"onnx": "onnx/net.onnx", "category": category.name}
    rows = [
        row(0, "unsat", vnnlib="vnnlib/q0.vnnlib", **named),
        row(1, "error", vnnlib="vnnlib/q1.vnnlib", **named),
        row(2, "timeout", vnnlib="vnnlib/q2.vnnlib", **named),
        row(3, "timeout", vnnlib="vnnlib/q3.vnnlib", **{**named, "timeout": 5.0}),
        row(4, "unsat", vnnlib="vnnlib/other.vnnlib", **named),
    ]
    todo = session._open(category.instances, rows, Options(tmp_path, {}))
    assert [i.position for i in todo] == [1, 3, 4, 5]


@given(st.integers(0, 30), st.integers(1, 7))
def test_parts_cover_the_suite_once(count: int, parts: int) -> None:
    instances = tuple(Instance("c", i, "n", "q", 1.0, (("", Path("n")),), Path("q")) for i in range(count))
    categories = [Category("c", Path(), instances[: count // 2]), Category("d", Path(), instances[count // 2 :])]
    shares = [session.share(categories, (i, parts)) for i in range(1, parts + 1)]
    assert sorted(i.position for part in shares for i in part) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_timeouts() -> None:
    instance = Instance("c", 0, "n", "q", 100.0, (("", Path("n")),), Path("q"))
    assert Options(Path(), {}, scale=0.5).timeout(instance) == 50.0
    assert Options(Path(), {}, scale=2, cap=30.0).timeout(instance) == 30.0
