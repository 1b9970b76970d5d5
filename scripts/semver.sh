#!/bin/sh
# Checks the public crates for breaking changes that their versions do not announce. Does nothing without
# cargo-semver-checks.
# Usage: semver.sh [REVISION]: what to compare with. Without it: the last tag, since a tag is a release. Without a tag:
# where this branch left origin/main, or on main itself the commit before.
set -eu

if ! command -v cargo-semver-checks >/dev/null; then
    echo "cargo-semver-checks is not installed: the public crates are not compared"
    exit 0
fi

baseline() {
    if git describe --tags --abbrev=0 2>/dev/null; then return; fi
    base=$(git merge-base HEAD origin/main 2>/dev/null || true)
    if [ -n "$base" ] && [ "$base" != "$(git rev-parse HEAD)" ]; then echo "$base"; return; fi
    git rev-parse --verify --quiet HEAD~1
}

revision=${1-$(baseline || true)}
if [ -z "$revision" ]; then
    echo "no tag, and no earlier commit in this clone: the public crates are not compared"
    exit 0
fi
echo "comparing the public crates with $revision"
# fezz-macro has no library that could be compared; its macro's tests hold its input and output.
cargo semver-checks --baseline-rev "$revision" -p fezz-sdk -p fezz-abi
