from __future__ import annotations

import subprocess
import sys

import pytest

from verifier import __version__
from verifier.cli import application, exit_codes

Capture = pytest.CaptureFixture[str]


def test_help_names_commands_and_exit_codes(capsys: Capture) -> None:
    assert application.run(["--help"]) == 0
    shown = capsys.readouterr().out
    for name in application.COMMANDS:
        assert f"  {name} " in shown
    for code, meaning in exit_codes.MEANINGS.items():
        assert f"{code} " in shown and meaning in shown


def test_name_and_version(capsys: Capture) -> None:
    assert application.run(["--version"]) == application.run(["--name"]) == 0
    assert capsys.readouterr().out == f"{__version__}\nverifier\n"


@pytest.mark.parametrize("name", application.COMMANDS)
def test_every_command_loads_and_describes_itself(capsys: Capture, name: str) -> None:
    assert application.run([name, "--help"]) == 0
    assert "Usage: verifier " + name in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["verfy"], ["--nonsense"]])
def test_wrong_usage(capsys: Capture, arguments: list[str]) -> None:
    assert application.run(arguments) == 2
    assert "Usage: verifier" in capsys.readouterr().err


def test_module_and_exit_status() -> None:
    done = subprocess.run([sys.executable, "-m", "verifier", "verify", "only-one"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error[V001]")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(capsys: Capture, shell: str) -> None:
    assert application.run(["completion", shell]) == 0
    assert "_VERIFIER_COMPLETE" in capsys.readouterr().out


def test_a_broken_installation_is_no_verdict() -> None:
    code = "import sys; sys.modules['click'] = None; from verifier.cli import main; main(['verify', 'm', 'q'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 4
    assert done.stderr.startswith("error[V900]: the installation is incomplete")
