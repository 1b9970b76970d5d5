#!/usr/bin/env bash
# Count the instructions of each layer of tower-http for a request, with valgrind: the difference of two runs' calls, less the bare service's.
# Usage: scripts/count-layers.sh PROGRAM, the example bench_axum_layers in release.
set -euo pipefail
program=$1
calls=10000

instructions() { # LAYER CALLS
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>&1 |
        sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}

of_a_call() { # LAYER
    echo $((($(instructions "$1" $((2 * calls))) - $(instructions "$1" "$calls")) / calls))
}

bare=$(of_a_call none)
for layer in catch-panic request-id request-id-counted sensitive-headers set-header body-limit timeout trace; do
    printf '%-18s %5d\n' "$layer" $(($(of_a_call "$layer") - bare))
done
