#!/usr/bin/env bash
# Sees to what the tests need besides Rust: a C compiler, a Redis server, a PostgreSQL server, and Chromium with its driver.
# Installs what is missing where it may (Debian and its kin, as root or with a sudo that asks nothing); elsewhere says in
# one line what to install, and fails.
set -euo pipefail

missing=()
command -v cc >/dev/null || missing+=(gcc)
command -v redis-server >/dev/null || missing+=(redis-server)
# Debian keeps PostgreSQL's programs out of the PATH, one folder for each version.
command -v initdb >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || missing+=(postgresql)
command -v chromium >/dev/null || missing+=(chromium)
command -v chromedriver >/dev/null || missing+=(chromium-driver)
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        echo "the tests need ${missing[*]}: install them, for example with 'sudo apt-get install ${missing[*]}'" >&2
        exit 1
    fi
    as_root=(sudo -n)
fi
if ! command -v apt-get >/dev/null; then
    echo "the tests need ${missing[*]}: install them with your system's package manager" >&2
    exit 1
fi
echo "installing ${missing[*]} for the tests"
"${as_root[@]}" apt-get update -qq
# A server that Debian starts by itself is of no use here: each test starts its own.
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}"
