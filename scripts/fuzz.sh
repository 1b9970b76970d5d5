#!/bin/sh
# Fuzzes the parsers and decoders, one target after the other. Needs a nightly toolchain; installs cargo-fuzz if it is
# missing.
# Usage: fuzz.sh DIRECTORY [SECONDS] [TARGET]...: each target runs for SECONDS (60). DIRECTORY gets the build and the
# inputs that libFuzzer finds; the committed corpus in fuzz/corpus is only read.
set -eu
mkdir -p "$1"
directory=$(cd "$1" && pwd)
shift
seconds=60
case ${1-} in
    [0-9]*) seconds=$1; shift ;;
esac
cd "$(dirname "$0")/.."

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "fuzzing needs a nightly toolchain: rustup toolchain install nightly --profile minimal" >&2
    exit 1
fi
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz

[ $# -gt 0 ] || set -- $(cargo +nightly fuzz list)
for target; do
    if [ ! -d "fuzz/corpus/$target" ]; then
        echo "there is no fuzz target $target; the targets are:" $(cargo +nightly fuzz list) >&2
        exit 1
    fi
done
for target; do
    echo "fuzzing $target for $seconds s"
    mkdir -p "$directory/corpus/$target"
    # libFuzzer writes to the first corpus.
    cargo +nightly fuzz run --target-dir "$directory/build" "$target" \
        "$directory/corpus/$target" "fuzz/corpus/$target" -- -max_total_time="$seconds" -timeout=10
done
