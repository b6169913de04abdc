#!/usr/bin/env bash
# prepare_instance.sh v1 CATEGORY ONNX VNNLIB: end stale processes, see that the files are there, warm the disk cache. Nothing is analysed.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
check_arguments 4 "prepare_instance.sh v1 CATEGORY ONNX VNNLIB" "$@"
ONNX=$3 VNNLIB=$4

kill_stale
case $ONNX in
'['*) FILES=("$VNNLIB") ;; # several networks, a Python list
*) FILES=("$ONNX" "$VNNLIB") ;;
esac
for FILE in "${FILES[@]}"; do
    if [ ! -r "$FILE" ] && [ ! -r "$FILE.gz" ]; then
        echo "no such file: $FILE" >&2
        exit 1
    fi
done
exec "$PYTHON" -c 'import onnxruntime, verifier.engine, verifier.search.solve'
