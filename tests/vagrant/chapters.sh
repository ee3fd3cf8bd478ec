#!/usr/bin/env bash
# Runs chapters against the lab of this machine, as a learner would from top to bottom: nbval
# compares what their checked cells give.  Prints the time and the cells of each; for the machines
# of the proofs, which the lab has to itself.
#
#   chapters.sh NUMBER...      as root; LABKIT_VENV as for vagrant/provision.sh
set -euo pipefail
. "$(cd "$(dirname "$0")" && pwd -P)/../../vagrant/common.sh"

# An emulated machine is many times slower.
CELL_TIMEOUT_S=${CELL_TIMEOUT_S:-600}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export XDG_STATE_HOME=$folder/state IPYTHONDIR=$folder/ipython JUPYTER_CONFIG_DIR=$folder/config
export JUPYTER_DATA_DIR=$folder/data JUPYTER_RUNTIME_DIR=$folder/runtime MPLCONFIGDIR=$folder/plots
export PATH=$VENV/bin:$PATH HOME=${HOME:-/root}

failed=
cd "$PROJECT/notebooks"
for chapter; do
    path=$(find . -maxdepth 1 -name "${chapter}_*.ipynb")
    started=$EPOCHREALTIME
    "$PYTHON" -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout="$CELL_TIMEOUT_S" \
        --nbval-sanitize-with="$PROJECT/tests/notebooks/sanitize.cfg" \
        -c /dev/null --rootdir . -p no:cacheprovider -q "$path" < /dev/null || failed+=" $chapter"
    awk "BEGIN { printf \"== %8.1f s  chapter %s\\n\", $EPOCHREALTIME - $started, \"$chapter\" }"
    left=$("$COMMAND" ps --all --quiet)
    [ -z "$left" ] || { echo "== chapter $chapter left containers behind: $left" && failed+=" $chapter"; }
done
[ -z "$failed" ] || { echo "== FAILED: chapters$failed" && exit 1; }
