"""Settings: frozen sections that are passed down, from defaults, a YAML file and the command line, in this order.

Each part of the verifier takes its own section. Every value knows where it was set.

    search:
      timeout: 60
      device: cpu
    attack:
      restarts: 100
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from verifier.documents import compose, nearest, place
from verifier.errors import ConfigurationError, Location

if TYPE_CHECKING:
    import yaml

DEFAULT = "default"
COMMAND_LINE = "command line"


def _option(default: Any, help: str, *, types: tuple[type, ...], least: float | None = None, choices: tuple[str, ...] = ()) -> Any:
    """A field with what a value must be; None is allowed where it is the default."""
    return field(default=default, metadata={"help": help, "types": types, "least": least, "choices": choices})


@dataclass(frozen=True)
class SearchSettings:
    timeout: float | None = _option(None, "wall-clock limit in seconds, everything included", types=(float, int), least=0)
    seed: int = _option(0, "seed of every random choice", types=(int,), least=0)
    device: Literal["auto", "cpu", "cuda"] = _option("auto", "where bounds are computed", types=(str,), choices=("auto", "cpu", "cuda"))
    batch: int | None = _option(None, "most subproblems bounded at once; chosen from the network's size if not set", types=(int,), least=1)
    candidates: int | None = _option(
        None,
        "neurons of a subproblem whose split is tried before one is chosen; 1 trusts the score alone; chosen from their number if not set",
        types=(int,),
        least=1,
    )


@dataclass(frozen=True)
class AttackSettings:
    restarts: int = _option(64, "random starting points of a gradient attack; 0 turns it off", types=(int,), least=0)
    steps: int = _option(
        60, "gradient steps from a starting point; a sixth of them in jumps, four times as many in long descents", types=(int,), least=1
    )


@dataclass(frozen=True)
class BoundSettings:
    iterations: int | None = _option(
        None, "steps of the slope optimiser a batch of subproblems; 0 turns it off; chosen from the number of neurons if not set",
        types=(int,), least=0,
    )
    root_iterations: int = _option(100, "steps of the slope optimiser at the root", types=(int,), least=0)


@dataclass(frozen=True)
class Settings:
    """`origins`: option ("search.seed") -> "default", "command line" or "file NAME:LINE"."""

    search: SearchSettings = field(default_factory=SearchSettings)
    attack: AttackSettings = field(default_factory=AttackSettings)
    bounds: BoundSettings = field(default_factory=BoundSettings)
    origins: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False, compare=False)

    def __post_init__(self) -> None:
        for option, value in self.values().items():
            _check(option, value, None)

    @classmethod
    def from_file(cls, path: Path) -> Settings:
        """Defaults with the values of a YAML file; ConfigurationError with line and column for anything it cannot mean."""
        values: dict[str, Any] = {}
        origins: dict[str, str] = {}
        for option, (value, location) in _read(path).items():
            _check(option, value, location)
            values[option] = value
            origins[option] = f"file {location.file}:{location.line}"
        return cls()._replaced(values, origins)

    def with_options(self, values: Mapping[str, Any], origin: str = COMMAND_LINE) -> Settings:
        """These settings with `values` ("search.seed" -> 3) in place of their own."""
        for option, value in values.items():
            if option not in OPTIONS:
                raise _unknown(option, list(OPTIONS), "option", None)
            _check(option, value, None)
        return self._replaced(values, {option: origin for option in values})

    def _replaced(self, values: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
        sections: dict[str, Any] = {}
        for option, value in values.items():
            section, name = option.split(".")
            sections[section] = replace(sections.get(section, getattr(self, section)), **{name: value})
        return replace(self, **sections, origins=MappingProxyType({**self.origins, **origins}))

    def values(self) -> dict[str, Any]:
        """Option -> value, of every option."""
        return {option: getattr(getattr(self, option.split(".")[0]), option.split(".")[1]) for option in OPTIONS}

    def describe(self) -> dict[str, tuple[Any, str]]:
        """Option -> (value, where it was set), of every option."""
        return {option: (value, self.origins.get(option, DEFAULT)) for option, value in self.values().items()}


_SECTIONS: dict[str, type] = {"search": SearchSettings, "attack": AttackSettings, "bounds": BoundSettings}

OPTIONS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {f"{section}.{f.name}": {**f.metadata, "default": f.default} for section, cls in _SECTIONS.items() for f in fields(cls)}
)
"""Option -> default, help, types, least value, choices."""


def _check(option: str, value: Any, location: Location | None) -> None:
    spec = OPTIONS[option]
    if value is None and spec["default"] is None:
        return
    if isinstance(value, bool) or not isinstance(value, spec["types"]):
        expected = {"str": "a word", "int": "a whole number"}.get(spec["types"][0].__name__, "a number")
        raise ConfigurationError(f"{option} must be {expected}, not {value!r}", code="V303", location=location, hint=spec["help"])
    if spec["choices"] and value not in spec["choices"]:
        hint = f"one of {', '.join(spec['choices'])}{nearest(value, spec['choices'])}"
        raise ConfigurationError(f"{option} is {value!r}", code="V304", location=location, hint=hint)
    if spec["least"] is not None and not (value >= spec["least"] and isfinite(value)):
        hint = f"it must be at least {spec['least']} and finite ({spec['help']})"
        raise ConfigurationError(f"{option} is {value!r}", code="V304", location=location, hint=hint)


def _read(path: Path) -> dict[str, tuple[Any, Location]]:
    root = compose(path, "configuration", ConfigurationError, "V305")
    found: dict[str, tuple[Any, Location]] = {}
    for section, node, location in _entries(root, path, "the file"):
        if section not in _SECTIONS:
            raise _unknown(section, list(_SECTIONS), "section", location)
        names = [f.name for f in fields(_SECTIONS[section])]
        for name, leaf, at in _entries(node, path, f"section {section!r}"):
            if name not in names:
                raise _unknown(name, names, f"option of {section!r}", at)
            if f"{section}.{name}" in found:
                raise ConfigurationError(f"{section}.{name} is set twice", code="V302", location=at)
            found[f"{section}.{name}"] = (_scalar(leaf, f"{section}.{name}", at), at)
    return found


def _entries(node: yaml.Node | None, path: Path, what: str) -> list[tuple[str, yaml.Node, Location]]:
    import yaml

    if node is None or (isinstance(node, yaml.ScalarNode) and node.value in ("", "null", "~")):
        return []
    if not isinstance(node, yaml.MappingNode):
        at = place(node, str(path))
        raise ConfigurationError(f"{what} must be a mapping of names to values", code="V302", location=at)
    return [(str(key.value), value, place(key, str(path))) for key, value in node.value]


def _scalar(node: yaml.Node, option: str, location: Location) -> Any:
    import yaml

    if not isinstance(node, yaml.ScalarNode):
        raise ConfigurationError(f"{option} must be a single value", code="V303", location=location)
    try:
        return yaml.SafeLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigurationError(f"{option} cannot be read", code="V303", location=location) from error


def _unknown(name: str, known: list[str], what: str, location: Location | None) -> ConfigurationError:
    hint = f"known: {', '.join(known)}" + nearest(name, known)
    return ConfigurationError(f"unknown {what}: {name!r}", code="V301", location=location, hint=hint)
