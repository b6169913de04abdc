"""YAML files whose nodes know their place, and the nearest known name for an unknown one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from verifier.errors import Location, VerifierError

if TYPE_CHECKING:
    import yaml


def compose(path: Path, what: str, error: type[VerifierError], code: str) -> yaml.Node | None:
    """The root node of a YAML file, nothing of it interpreted; None where it is empty. what: the file, for messages of `error`."""
    import yaml

    location = Location(str(path))
    try:
        return yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as fault:
        raise error(f"cannot read the {what}: {fault.strerror}", code=code, location=location) from fault
    except UnicodeDecodeError as fault:
        raise error(f"the {what} is not UTF-8 text", code=code, location=location) from fault
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark
        location = Location(str(path), mark.line + 1, mark.column + 1) if mark else location
        raise error(f"not valid YAML: {fault.problem}", code=code, location=location) from fault
    except yaml.YAMLError as fault:
        raise error(f"not valid YAML: {fault}", code=code, location=location) from fault
    except RecursionError as fault:
        raise error(f"the {what} is nested too deeply", code=code, location=location) from fault


def place(node: yaml.Node, file: str) -> Location:
    return Location(file, node.start_mark.line + 1, node.start_mark.column + 1)


def nearest(name: str, known: Iterable[str]) -> str:
    """A guess to append to a hint, or nothing."""
    near = difflib.get_close_matches(name, list(known), 1, 0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
