"""`verifier explain`: what the codes of errors mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import click

from verifier.errors import UsageError

_HEADING = re.compile(r"^## (V[0-9]{3}): (.+)\n+", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """title: one line; text: meaning, example and remedy, paragraphs of which examples of input are indented."""

    title: str
    text: str


def entries() -> Mapping[str, Entry]:
    """Code -> its entry, in order."""
    _, *parts = _HEADING.split(files("verifier.cli").joinpath("codes.md").read_text(encoding="utf-8"))
    return {code: Entry(title, text.rstrip()) for code, title, text in zip(parts[::3], parts[1::3], parts[2::3])}


@click.command(short_help="Say what the code of an error means.")
@click.argument("codes", nargs=-1, metavar="[CODE...]")
def command(codes: tuple[str, ...]) -> None:
    """Say what an error with CODE, such as V103, means, what causes it, and what to do; without a code, list all of them."""
    known = entries()
    if not codes:
        for code, entry in known.items():
            click.echo(f"{code}  {entry.title}")
    for position, code in enumerate(map(str.upper, codes)):
        if code not in known:
            raise UsageError(f"there is no error {code}", hint="`verifier explain` lists them")
        click.echo(("\n" if position else "") + f"{code}: {known[code].title}\n\n{known[code].text}")
