#!/usr/bin/env bash
# Installs the WebSocket clients of the compatibility suite into a folder: `websockets` from PyPI, `ws` from npm.
# What cannot be had is left out with a message, and fails where CI is set.
set -euo pipefail
folder=$1
mkdir -p "$folder"

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
packages=()
command -v python3 >/dev/null && python3 -m pip --version >/dev/null 2>&1 || packages+=(python3 python3-pip)
command -v node >/dev/null && command -v npm >/dev/null || packages+=(nodejs npm)
if [ ${#packages[@]} -ne 0 ] && command -v apt-get >/dev/null && { [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null; }; then
    echo "installing ${packages[*]} for the compatibility suite"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi

left_out() {
    echo "the compatibility suite runs without $1: $2" >&2
    [ -z "${CI:-}" ] || exit 1
}

if [ ! -d "$folder/python/websockets" ]; then
    # Nothing of the system's is touched: the folder is the suite's own.
    PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --quiet --disable-pip-version-check --target "$folder/python" 'websockets==15.*' ||
        left_out "the client websockets" "it needs python3 with pip, and PyPI"
fi
if [ ! -d "$folder/node/node_modules/ws" ]; then
    npm install --silent --no-fund --no-audit --prefix "$folder/node" 'ws@8' >/dev/null ||
        left_out "the client ws" "it needs node with npm, and the npm registry"
fi
