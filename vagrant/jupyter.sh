#!/usr/bin/env bash
# Runs JupyterLab on the learner's folder, in the foreground.  All that it writes besides stays in
# the lab's own folder, so that it neither reads nor changes the settings of whoever starts it.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

export JUPYTER_TOKEN_FILE=$STATE/token
export JUPYTER_CONFIG_DIR=$STATE/jupyter/config
export JUPYTER_DATA_DIR=$STATE/jupyter/data
export JUPYTER_RUNTIME_DIR=$STATE/jupyter/runtime
export IPYTHONDIR=$STATE/ipython
export MPLCONFIGDIR=$STATE/matplotlib
export PATH=$VENV/bin:$PATH

# JupyterLab's first question (news from the project?) would lie over the first page.
settings=$JUPYTER_CONFIG_DIR/lab/user-settings/@jupyterlab/apputils-extension
mkdir -p "$settings"
[ -e "$settings/notification.jupyterlab-settings" ] ||
    echo '{"fetchNews": "false"}' > "$settings/notification.jupyterlab-settings"

cd "$(work_folder)"
exec "$PYTHON" -m jupyterlab --no-browser --allow-root \
    --ServerApp.ip="$LAB_IP" --ServerApp.port="$LAB_PORT" --ServerApp.port_retries=0 \
    --ServerApp.root_dir="$PWD" \
    --ServerApp.jpserver_extensions=labkit.course.page.closing=True \
    --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate
