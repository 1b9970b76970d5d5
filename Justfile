# What people and CI run. `just` alone lists it.

library := if os() == "macos" { "libexample_todosapi.dylib" } else { "libexample_todosapi.so" }
target := env("CARGO_TARGET_DIR", "target")
demo_address := "127.0.0.1:3939"

_default:
    @just --list --unsorted

# Build the todos example in release, drop it into functions/todos@latest/ and run the host on it
serve: _deploy-todos
    cargo run --release --locked -p hhrf

# Run the whole suite; what it needs besides Rust is installed where that is allowed
test: _needs _compat-clients
    cargo build --workspace --all-targets --locked
    cargo test --workspace --locked

# Start the host, call the todos example, show the answers, stop
demo: _deploy-todos
    cargo build --release --locked -p hhrf
    scripts/demo.sh {{ target }}/release/hhrf {{ demo_address }}

# The one gate: format, lints, tests, documentation; warnings are errors. `just bench-check` is a recipe of its own
ci: fmt clippy test doc deny semver

# Check the format
fmt:
    cargo fmt --all --check

# Lint everything
clippy:
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo clippy -p fezz-sdk --no-default-features --locked -- -D warnings

# Build the documentation
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --document-private-items
    RUSTDOCFLAGS="-D warnings" cargo doc -p fezz-sdk --all-features --no-deps --locked

# Check the dependencies' licences, sources and advisories, where cargo-deny is installed
deny:
    @scripts/deny.sh

# Check the public crates for breaking changes, where cargo-semver-checks is installed: since the last tag, or a revision
semver *revision:
    @scripts/semver.sh {{ revision }}

# Build docs/ as a book into target/book; installs mdbook where it is missing
book:
    command -v mdbook >/dev/null || cargo install --locked mdbook
    mdbook build --dest-dir {{ target }}/book

# Measure the host against axum, on a quiet machine: see docs/benchmarks.md
bench *arguments:
    cargo build --release --locked -p hhrf -p fezz-bench
    cargo build --release --locked -p fezz-bench-work --examples
    # Alone: it turns on features of axum and tracing that would slow the host and bare axum.
    cargo build --release --locked -p fezz-bench-axum --examples
    cargo build --release --locked -p fezz-bench-sockets --lib --examples
    cargo run --release --locked -p fezz-bench -- {{ arguments }}

# The same, and against Deno, Bun, Node, workerd and nginx: those that are there or can be installed
bench-peers *arguments: _peers
    just bench --peers {{ arguments }}

# Count the request path's instructions, where valgrind is installed: more than the committed counts is an error
bench-check *arguments:
    #!/bin/sh
    set -eu
    if ! command -v valgrind >/dev/null; then
        echo "valgrind is not installed: no instructions are counted"
        exit 0
    fi
    cargo build --release --locked -p hhrf -p fezz-bench
    cargo build --release --locked -p fezz-bench-work --examples
    cargo run --release --locked -p fezz-bench -- check bench/instructions.json {{ arguments }}

# Count the instructions of tower-http's layers, each by itself, where valgrind is installed
bench-layers:
    cargo build --release --locked -p fezz-bench-axum --example bench_axum_layers
    scripts/count-layers.sh {{ target }}/release/examples/bench_axum_layers

# Deploy by the hundreds under load, at full length (the suite has a short version)
soak:
    FEZZ_SOAK=full cargo test --release --locked -p hhrf --test soak -- --nocapture --test-threads 1

# Crashes of every kind under load, and hand-overs, at full length (the suite has short versions)
chaos:
    FEZZ_CHAOS=full cargo test --release --locked -p hhrf --test chaos -- --nocapture --test-threads 1
    FEZZ_CHAOS=full cargo test --release --locked -p hhrf --test it -- --nocapture hand_overs_under_load

# Compare axum applications on their own listener with the same on the host: `just compat`, `just compat path --show 100`
compat *arguments: _needs _compat-clients
    cargo build --locked -p hhrf
    cargo run --locked -p fezz-compat -- {{ arguments }}

# Run the tests that need a control group of version 2, in a virtual machine (x86-64; QEMU and a Debian kernel are fetched)
test-cgroups: _needs
    scripts/test-cgroups.sh {{ target }}/vm

# Show what is claimed of async calls and of large bodies, on a quiet machine
prove:
    cargo test --release --locked -p hhrf --test proof -- --ignored --nocapture --test-threads=1
    cargo test --release --locked -p large_upload --test e2e -- --nocapture

# Run the unsafe code's tests under Miri; needs a nightly toolchain with it
miri:
    cargo +nightly miri test --locked -p fezz-abi --test bridge
    cargo +nightly miri test --locked -p fezz-runtime --lib ffi::call
    # The runtime's thread outlives the tests, as it outlives evictions: Miri takes that for a leak.
    MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-ignore-leaks" cargo +nightly miri test --locked -p fezz-sdk --test entry --test answers --test extract

# Fuzz the parsers and decoders, 60 s each: `just fuzz`, `just fuzz 600`, `just fuzz 600 guard`; needs a nightly toolchain
fuzz *arguments:
    @scripts/fuzz.sh {{ target }}/fuzz {{ arguments }}

# See that the host compiles for macOS, from any system; needs a nightly toolchain with rust-src. Nothing is run
check-macos:
    @scripts/check-macos.sh {{ target }}/check-macos

_deploy-todos:
    cargo build --release --locked -p example_todosapi
    mkdir -p functions/todos@latest
    cp {{ target }}/release/{{ library }} functions/todos@latest/
    cp example_todosapi/fezz.json functions/todos@latest/

_peers:
    @scripts/peers.sh {{ target }}/peers

_compat-clients:
    @scripts/compat-clients.sh {{ target }}/compat-clients

_needs:
    @scripts/needs.sh
