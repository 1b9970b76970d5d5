#!/bin/sh
# Installs the servers that the benchmark holds hhrf against into a folder, as far as that is possible. What cannot be
# installed is left out, and the benchmark goes on without it.
set -eu

folder=$1

mkdir -p "$folder"
cp bench/peers/package.json "$folder/"
if command -v npm >/dev/null; then
    npm install --prefix "$folder" --no-audit --no-fund --loglevel=error ||
        echo "npm cannot install Deno, Bun and workerd: the benchmark goes on without them" >&2
else
    echo "npm is not installed: the benchmark goes on without Deno, Bun and workerd" >&2
fi
if ! [ -x /usr/sbin/nginx ] && ! command -v nginx >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq nginx-light >/dev/null ||
            echo "nginx cannot be installed" >&2
    else
        echo "nginx is not installed: the benchmark goes on without it" >&2
    fi
fi
