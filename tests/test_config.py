from __future__ import annotations

from pathlib import Path

import pytest

from verifier.config import OPTIONS, Settings
from verifier.errors import ConfigurationError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(tmp_path: Path, text: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_file(written(tmp_path, text))
    return caught.value


def test_defaults_are_valid_and_described() -> None:
    described = Settings().describe()
    assert described["search.seed"] == (0, "default")
    assert set(described) == set(OPTIONS)
    assert all(OPTIONS[option]["help"] for option in OPTIONS)


def test_a_file_sets_values_and_origins(tmp_path: Path) -> None:
    path = written(tmp_path, "search:\n  timeout: 60\n  device: cpu\nattack:\n  restarts: 7\nbounds:\n")
    settings = Settings.from_file(path)
    assert (settings.search.timeout, settings.search.device, settings.attack.restarts) == (60, "cpu", 7)
    assert settings.describe()["attack.restarts"] == (7, f"file {path}:5")
    assert settings.describe()["attack.steps"][1] == "default"


def test_the_command_line_wins(tmp_path: Path) -> None:
    settings = Settings.from_file(written(tmp_path, "search: {timeout: 60, seed: 3}")).with_options({"search.timeout": 1.5})
    assert settings.describe()["search.timeout"] == (1.5, "command line")
    assert settings.search.seed == 3


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "search:\n", "search: {}\n"])
def test_an_empty_file_means_the_defaults(tmp_path: Path, text: str) -> None:
    assert Settings.from_file(written(tmp_path, text)) == Settings()


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("serach:\n  seed: 1\n", 1, 1, ["serach", "did you mean 'search'?"]),
        ("search:\n  seed: 1\n  tiemout: 2\n", 3, 3, ["tiemout", "did you mean 'timeout'?"]),
        ("search:\n  seed: one\n", 2, 3, ["whole number", "'one'"]),
        ("search:\n  seed: true\n", 2, 3, ["whole number"]),
        ("search:\n  seed: -1\n", 2, 3, ["at least 0"]),
        ("search:\n  timeout: .nan\n", 2, 3, ["at least 0"]),
        ("search:\n  timeout: .inf\n", 2, 3, ["finite"]),
        ("search:\n  seed:\n", 2, 3, ["whole number, not None"]),
        ("search:\n  device: cuda0\n", 2, 3, ["cuda0", "auto, cpu, cuda", "did you mean 'cuda'?"]),
        ("search:\n  seed: [1]\n", 2, 3, ["single value"]),
        ("search: 5\n", 1, 9, ["mapping"]),
        ("- search\n", 1, 1, ["mapping"]),
        ("search:\n  seed: 1\n  seed: 2\n", 3, 3, ["twice"]),
        ("search: {seed: 1}\nsearch: {seed: 2}\n", 2, 10, ["twice"]),
        ("search:\n  seed: 1\n bad\n", None, None, ["not valid YAML"]),
        ("search:\n  seed: !!python/object/apply:os.getcwd []\n", 2, 3, ["single value"]),
        ("search:\n  seed: !!python/name:os.getcwd\n", 2, 3, ["cannot be read"]),
    ],
)
def test_what_a_file_cannot_mean(tmp_path: Path, text: str, line: int | None, column: int | None, words: list[str]) -> None:
    error = refused(tmp_path, text)
    assert error.exit_status == 2
    assert error.location is not None
    if line is not None:
        assert (error.location.line, error.location.column) == (line, column)
    for word in words:
        assert word in error.render()


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read the configuration"):
        Settings.from_file(tmp_path / "none.yaml")


def test_a_binary_file(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError):
        Settings.from_file(path)


def test_unknown_option_by_name() -> None:
    with pytest.raises(ConfigurationError, match="unknown option"):
        Settings().with_options({"search.sede": 1})


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Settings().search.seed = 1  # type: ignore[misc]


def test_every_option_is_read_somewhere() -> None:
    package = Path(__file__).parents[1] / "verifier"
    if not (package / "engine.py").exists():
        pytest.skip("there is no engine yet")
    code = "\n".join(p.read_text(encoding="utf-8") for p in package.rglob("*.py") if p.name != "config.py")
    assert [option for option in OPTIONS if f".{option}" not in code] == []
