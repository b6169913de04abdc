#!/usr/bin/env bash
# install_tool.sh v1: make the virtual environment that the other scripts use. Python 3.11 or newer has to be there.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
check_arguments 1 "install_tool.sh v1" "$@"

BASE=${PYTHON_FOR_VENV:-python3}
"$BASE" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed" >&2; exit 1; }
"$BASE" -m venv "$ROOT/.venv"
"$ROOT/.venv/bin/python" -m pip install -c "$ROOT/constraints.txt" "$ROOT"
"$ROOT/.venv/bin/python" -m verifier --version
