# Shared by the three scripts. VERIFIER_PYTHON: another interpreter than the one that install_tool.sh makes.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PYTHON=${VERIFIER_PYTHON:-$ROOT/.venv/bin/python}
PID_FILE=${TMPDIR:-/tmp}/verifier-vnncomp-$(id -u).pid

# The arguments of every script: the version of the interface, then what the script needs.
check_arguments() { # COUNT USAGE VERSION ARGUMENT...
    local count=$1 usage=$2
    shift 2
    if [ "$#" -ne "$count" ] || [ "${1:-}" != v1 ]; then
        echo "usage: $usage" >&2
        exit 2
    fi
}

# End what an earlier instance may have left: the group of the process in the file, if it is still one of ours.
kill_stale() {
    local pid
    [ -r "$PID_FILE" ] || return 0
    read -r pid <"$PID_FILE" || pid=
    case $pid in '' | *[!0-9]*) pid= ;; esac
    if [ -n "$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q verifier.bench.competition; then
        kill -KILL -- "-$pid" 2>/dev/null
    fi
    rm -f "$PID_FILE"
}
