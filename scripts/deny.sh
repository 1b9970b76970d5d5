#!/bin/sh
# Checks the dependencies by deny.toml: licences, sources, duplicates, and security advisories if their database can be
# fetched. Does nothing without cargo-deny.
set -eu

if ! command -v cargo-deny >/dev/null; then
    echo "cargo-deny is not installed: the dependencies are not checked"
    exit 0
fi
cargo deny --locked check --hide-inclusion-graph bans licenses sources
if cargo deny --locked fetch db >/dev/null 2>&1; then
    cargo deny --locked check --disable-fetch advisories
else
    echo "the advisory database cannot be fetched: advisories are not checked"
fi
