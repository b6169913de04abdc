"""The command line. `main` is the process boundary: it turns every outcome into an exit code and text."""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit; see verifier.cli.exit_codes."""
    try:
        from verifier.cli.application import run
        from verifier.cli.streams import forgive
    except ImportError as error:  # left alone it would exit with 1, which means "violated"
        print(f"error[V900]: the installation is incomplete: {error}", file=sys.stderr)
        sys.exit(4)
    forgive()
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))
