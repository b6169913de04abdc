#!/usr/bin/env bash
# run_instance.sh v1 CATEGORY ONNX VNNLIB RESULTS_FILE TIMEOUT: decide one instance; the answer goes to RESULTS_FILE.
set -u
STARTED=$(date +%s.%N)
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
check_arguments 6 "run_instance.sh v1 CATEGORY ONNX VNNLIB RESULTS_FILE TIMEOUT" "$@"
ONNX=$3 VNNLIB=$4 RESULTS=$5 TIMEOUT=$6
GRACE=5

LIMIT=$(awk -v t="$TIMEOUT" -v g="$GRACE" 'BEGIN { if (t + 0 <= 0) exit 1; print t + g }') || { echo "not a timeout: $TIMEOUT" >&2; exit 2; }
rm -f "$RESULTS"
timeout --signal=KILL "$LIMIT" "$PYTHON" -m verifier.bench.competition "$ONNX" "$VNNLIB" "$RESULTS" "$TIMEOUT" "$STARTED" &
WORKER=$! # `timeout` leads a process group of its own
echo "$WORKER" >"$PID_FILE"
trap 'kill -KILL -- "-$WORKER" 2>/dev/null; rm -f "$PID_FILE"; exit 143' TERM INT
wait "$WORKER"
CODE=$?
rm -f "$PID_FILE"

if [ ! -s "$RESULTS" ]; then
    PASSED=$(awk -v a="$STARTED" -v b="$(date +%s.%N)" -v t="$TIMEOUT" 'BEGIN { print (b - a >= t) ? "timeout" : "error" }')
    echo "$PASSED" >"$RESULTS"
    echo "no answer: exit code $CODE" >&2
fi
