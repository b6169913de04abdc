"""What loads when: start-up time is part of every verdict."""

from __future__ import annotations

import subprocess
import sys

import pytest

import verifier

HEAVY = ("torch", "numpy", "onnx", "onnxruntime", "scipy", "yaml", "jinja2", "matplotlib")


def loaded(code: str) -> set[str]:
    """Which of HEAVY a fresh interpreter has loaded after `code`."""
    script = f"{code}\nimport sys\nprint('\\n@' + ' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.rsplit("@", 1)[1].split())


@pytest.mark.parametrize(
    "code",
    [
        "import verifier",
        "import verifier; verifier.Verdict, verifier.Settings, verifier.Event, verifier.ModelError, verifier.RangeAnswer",
        "import verifier.report.json_report, verifier.report.text, verifier.report.progress",
        "from verifier.cli.application import run; run(['bench', '--help']); run(['report', '--help'])",
        "import verifier.bench.session, verifier.bench.compare, verifier.cli.reporting, verifier.report.formats",
        *(
            f"from verifier.cli.application import run; run({line.split()!r})"
            for line in (
                "--version",
                "--name",
                "--help",
                "verify --help",
                "inspect --help",
                "range --help",
                "radius --help",
                "supports --help",
                "supports --vnnlib-versions",
                "completion bash",
                "explain",
                "explain V103",
                "verify one-file",
            )
        ),
    ],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    assert loaded(code) == set()


def test_public_names_exist() -> None:
    for name in verifier.__all__:
        assert getattr(verifier, name).__name__ == name
    assert set(verifier.__all__) <= set(dir(verifier))
    assert sorted(verifier.__all__) == list(verifier.__all__)


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'verifi'"):
        verifier.verifi  # noqa: B018
