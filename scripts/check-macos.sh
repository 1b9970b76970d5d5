#!/bin/sh
# Checks that the host, the SDK and the testkit compile for macOS, without a Mac: the standard library is checked from
# its source, and since a check links nothing, C code of dependencies is not compiled: a stand-in writes empty files.
# Usage: check-macos.sh DIRECTORY, where all that is built goes.
set -eu
mkdir -p "$1"
directory=$(cd "$1" && pwd)

cat > "$directory/cc" <<'END'
#!/bin/sh
# What comes behind `-o` is all that is asked for.
while [ $# -gt 1 ]; do
    if [ "$1" = -o ]; then : > "$2"; fi
    shift
done
END
cat > "$directory/ar" <<'END'
#!/bin/sh
for argument in "$@"; do
    case $argument in *.a) : > "$argument" ;; esac
done
END
chmod +x "$directory/cc" "$directory/ar"

export CC_aarch64_apple_darwin="$directory/cc" AR_aarch64_apple_darwin="$directory/ar"
# Whoever has no Xcode has no SDK to be found either; nothing is read from it.
export SDKROOT="${SDKROOT:-$directory}"
export RUSTFLAGS="-D warnings"
CARGO_TARGET_DIR="$directory" exec cargo +nightly check -Zbuild-std --target aarch64-apple-darwin --locked \
    -p hhrf -p fezz-sdk -p fezz-testkit
