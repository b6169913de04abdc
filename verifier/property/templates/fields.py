"""Typed values of a YAML template, each with its place: what is wrong is said with file, line, column and a guess of what was meant.

PropertyError codes: V220 no YAML, V221 unknown or repeated key, V222 missing key, V223 a value of another kind, V224 out of range.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from verifier.documents import nearest, place
from verifier.errors import Location, PropertyError
from verifier.property.templates.region import exact

if TYPE_CHECKING:
    import yaml

_WHOLE = re.compile(r"[0-9]{1,12}")
_SPAN = re.compile(r"([0-9]{1,12})\s*-\s*([0-9]{1,12})")
_LONGEST_SPAN = 10_000_000


@dataclass(frozen=True, eq=False)
class Field:
    """A value; name: the key that it stands under, such as `eps`."""

    node: yaml.Node
    file: str
    name: str

    @property
    def location(self) -> Location:
        return place(self.node, self.file)

    @property
    def line(self) -> int:
        return self.node.start_mark.line + 1

    def error(self, message: str, code: str = "V223", hint: str | None = None) -> PropertyError:
        return PropertyError(message, code=code, location=self.location, hint=hint)

    @property
    def kind(self) -> str:
        """scalar, sequence or mapping."""
        import yaml

        return (
            "sequence" if isinstance(self.node, yaml.SequenceNode) else "mapping" if isinstance(self.node, yaml.MappingNode) else "scalar"
        )

    @property
    def null(self) -> bool:
        return self.kind == "scalar" and self.node.value in ("", "null", "~")

    def text(self) -> str:
        if self.kind != "scalar" or self.null:
            raise self.error(f"{self.name} must be a single value")
        return str(self.node.value)

    def word(self, *choices: str) -> str:
        text = self.text()
        if text not in choices:
            raise self.error(f"{self.name} is {text!r}", "V224", f"one of {', '.join(choices)}{nearest(text, choices)}")
        return text

    def number(self) -> Fraction:
        text = self.text()
        try:
            return exact(text)
        except PropertyError as error:
            raise self.error(f"{self.name} is {text!r:.60}, which is no number", hint=error.hint) from error

    def numbers(self) -> list[Fraction]:
        """Of a number or a list, however nested, flat."""
        if self.kind != "sequence":
            return [self.number()]
        return [value for item in self.items() for value in item.numbers()]

    def whole(self) -> int:
        text = self.text()
        if not _WHOLE.fullmatch(text):
            raise self.error(f"{self.name} is {text!r:.60}, but must be a whole number, 0 or larger")
        return int(text)

    def indices(self) -> list[int]:
        """Of whole numbers and ranges such as 3-7, both ends included; one of them or a list."""
        if self.kind == "sequence":
            return [i for item in self.items() for i in item.indices()]
        span = _SPAN.fullmatch(self.text())
        if span is None:
            return [self.whole()]
        first, last = int(span[1]), int(span[2])
        if not 0 <= last - first < _LONGEST_SPAN:
            raise self.error(f"{self.name} has the range {self.text()}", "V224", "ranges read FIRST-LAST")
        return list(range(first, last + 1))

    def items(self) -> list[Field]:
        if self.kind != "sequence":
            raise self.error(f"{self.name} must be a list")
        return [Field(node, self.file, self.name) for node in self.node.value]

    def listed(self) -> list[Field]:
        """The items of a list, or the value alone."""
        return self.items() if self.kind == "sequence" else [self]

    def entries(self) -> Iterator[tuple[Field, Field]]:
        """Keys and values of a mapping; V221 for a key that comes twice."""
        if self.kind != "mapping":
            raise self.error(f"{self.name} must be a mapping of names to values")
        seen: set[str] = set()
        for key, value in self.node.value:
            name = str(key.value)
            found = Field(key, self.file, f"{self.name}.{name}")
            if name in seen:
                raise found.error(f"{name!r} is there twice", "V221")
            seen.add(name)
            yield found, Field(value, self.file, name)

    def table(self, known: Sequence[str]) -> Table:
        found = {}
        for key, value in self.entries():
            if value.name not in known:
                hint = f"known: {', '.join(known)}{nearest(value.name, known)}"
                raise key.error(f"unknown key of {self.name}: {value.name!r}", "V221", hint)
            found[value.name] = value
        return Table(self, found)


@dataclass(frozen=True, eq=False)
class Table:
    """A mapping whose keys are known; a value of null counts as absent."""

    whole: Field
    values: dict[str, Field]

    def get(self, name: str) -> Field | None:
        value = self.values.get(name)
        return None if value is None or value.null else value

    def need(self, name: str) -> Field:
        value = self.get(name)
        if value is None:
            raise self.whole.error(f"{self.whole.name} lacks the key {name!r}", "V222")
        return value

    def one_of(self, *names: str) -> Field:
        """The one of these keys that is there; V222 for none, V221 for several."""
        found = [value for name in names if (value := self.get(name)) is not None]
        if not found:
            raise self.whole.error(f"{self.whole.name} lacks a key: one of {', '.join(names)}", "V222")
        if len(found) > 1:
            raise found[1].error(f"{found[0].name} and {found[1].name} exclude each other", "V221")
        return found[0]
