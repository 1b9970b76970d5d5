#!/usr/bin/env bash
# Starts the host, calls the todos example, shows what comes back, and stops the host again.
# usage: demo.sh HHRF ADDRESS
set -euo pipefail

hhrf=$1
base=http://$2/rpc/todos
state=$(mktemp -d)
HHRF_LOG=warn "$hhrf" --listen "$2" --admin off --state-dir "$state" &
host=$!
trap 'kill -TERM $host 2>/dev/null || true; wait $host 2>/dev/null || true; rm -rf "$state"' EXIT

curl --silent --output /dev/null --retry 20 --retry-delay 1 --retry-connrefused "$base/hello"

show() {
    printf '\n$ curl'
    printf ' %q' "$@"
    printf '\n'
    curl --silent --include "$@"
    printf '\n'
}
show "$base/hello"
show -H 'content-type: application/json' -d '{"title":"write a function"}' "$base/todos"
show -H 'content-type: application/json' -d '{"title":""}' "$base/todos"
show -X PUT -H 'content-type: application/json' -d '{"title":"write a function","done":true}' "$base/todos/1"
show "$base/todos?done=true"
show -X DELETE "$base/todos/1"
show "$base/todos/1"
