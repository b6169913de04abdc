"""The command group and the process boundary. Commands load when they are named, so that `--help` stays quick."""

from __future__ import annotations

import re
import sys
import traceback
from importlib import import_module

import click

from verifier import __version__
from verifier.cli import exit_codes
from verifier.errors import VerifierError

COMMANDS = {
    "verify": "Decide whether a network has a property.",
    "range": "Bound outputs over the input set of a query.",
    "radius": "Bisect how far a property holds around samples.",
    "inspect": "Show the operators, shapes and layers of a network.",
    "report": "Make reports from results.",
    "bench": "Run suites of queries, and compare runs.",
    "explain": "Say what the code of an error means.",
    "supports": "Say what is supported, in the terms of the VNN-LIB standard.",
    "completion": "Print the completion script of a shell.",
}
"""Command -> its line in `--help`; command C is `verifier.cli.C:command`."""


_ALIASES = {"capabilities": "supports"}
"""Other names in the text of the VNN-LIB standard."""


class LazyGroup(click.Group):
    """Loads the module of a command only when that command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        cmd_name = _ALIASES.get(cmd_name, cmd_name)
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"verifier.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in exit_codes.MEANINGS.items()])


def _print_name(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo("verifier")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, message="%(version)s")
@click.option("--name", is_flag=True, expose_value=False, is_eager=True, callback=_print_name, help="Print the tool's name and exit.")
def cli() -> None:
    """Prove or refute properties of neural networks: ONNX models, VNN-LIB queries."""


def run(arguments: list[str]) -> int:
    """The exit code of one command line. Nothing but a verdict or plain success may exit with 0 or 1."""
    try:
        result = cli.main(arguments, prog_name="verifier", standalone_mode=False)
        sys.stdout.flush()  # at the exit of the interpreter a full disk would no longer be an error
        return result if isinstance(result, int) else 0
    except VerifierError as error:
        click.echo(error.render(), err=True)
        if _wants_traceback(arguments):
            traceback.print_exc()
        return error.exit_status
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return exit_codes.REFUSED
    except click.ClickException as error:
        error.show()
        return exit_codes.REFUSED
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return exit_codes.INTERRUPTED
    except Exception:  # noqa: BLE001 -- the process boundary: a fault must not look like a verdict
        traceback.print_exc()
        click.echo(f"error[V900]: internal fault in verifier {__version__}\nhelp: please report the lines above", file=sys.stderr)
        return exit_codes.FAULT


def _wants_traceback(arguments: list[str]) -> bool:
    """Two of -v, on their own or in a cluster such as -qvv."""
    clusters = (a for a in arguments if re.fullmatch("-[qv]+", a))
    return sum(a.count("v") for a in clusters) + arguments.count("--verbose") >= 2
