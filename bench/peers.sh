#!/bin/bash
# Makes the allocators that `granule-bench malloc` compares with into libraries for LD_PRELOAD.
#
#   bench/peers.sh [DIRECTORY]     (target/peers unless it is given)
#
# Their sources are crates, fetched by cargo as bench/peers/Cargo.lock says. Those in C and C++ are
# compiled as their makers compile them for LD_PRELOAD, not as the crates do: with the names of the
# C library, without debug checks, with initial-exec thread-locals. A file `versions` says of what
# each library was made. One that cannot be made is left out with a sentence. Run again, it makes
# what is missing, or all of them if this script or a version has changed.
#
# Exit status: 0 if all are there; 1 if not; 2 if the sources could not be fetched.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:-$here/../target/peers}
mkdir -p "$out"
out=$(cd "$out" && pwd)
sources=$out/sources

vendor() {
    cargo vendor --quiet --locked --manifest-path "$here/peers/Cargo.toml" "$sources" >/dev/null
}

# The version of a compiler.
compiler() { { "$1" --version || echo 'no compiler'; } 2>/dev/null | head -1; }

# The version in a crate's own manifest.
version() { sed -n 's/^version = "\(.*\)"/\1/p' "$sources/$1/Cargo.toml" | head -1; }

# The version in a header of mimalloc: major, and two digits each of minor and patch.
mimalloc_version() {
    sed -n 's/^#define MI_MALLOC_VERSION *\([0-9]\)0*\([0-9]*\)\([0-9][0-9]\) .*/\1.\2.\3/p' \
        "$sources/libmimalloc-sys/c_src/mimalloc/$1/include/mimalloc.h" |
        sed 's/\.0\([0-9]\)/.\1/g'
}

shared=(-O3 -DNDEBUG -fPIC -shared -pthread -fvisibility=hidden -ftls-model=initial-exec -w)

mimalloc() {
    local source=$sources/libmimalloc-sys/c_src/mimalloc/$1
    "${CC:-cc}" "${shared[@]}" -fno-builtin-malloc -DMI_BUILD_RELEASE -DMI_MALLOC_OVERRIDE \
        -DMI_SHARED_LIB -DMI_SHARED_LIB_EXPORT -I "$source/include" "$source/src/static.c" -o "$2"
}

mimalloc2() { mimalloc v2 "$1"; }

mimalloc3() { mimalloc v3 "$1"; }

snmalloc() {
    local source=$sources/snmalloc-sys/upstream/src
    "${CXX:-c++}" "${shared[@]}" -fvisibility=default -std=c++20 -mcx16 -fno-exceptions -fno-rtti \
        -DSNMALLOC_USE_WAIT_ON_ADDRESS=1 -DSNMALLOC_HAS_LINUX_FUTEX_H \
        -DSNMALLOC_HAS_LINUX_RANDOM_H -DSNMALLOC_PLATFORM_HAS_GETENTROPY \
        -I "$source" "$source/snmalloc/override/malloc.cc" -o "$1"
}

rpmalloc() {
    "${CC:-cc}" "${shared[@]}" -std=c11 -D_GNU_SOURCE=1 -DENABLE_PRELOAD=1 -DENABLE_OVERRIDE=1 \
        -fno-builtin-malloc -fvisibility=default \
        "$sources/rpmalloc-sys/rpmalloc/rpmalloc/rpmalloc.c" -o "$1"
}

rusty_alloc() {
    cargo build --quiet --release --locked --manifest-path "$here/peers/Cargo.toml" \
        --target-dir "$out/cargo" && cp "$out/cargo/release/librusty_alloc_malloc.so" "$1"
}

# A library is used only if a program that loads it still works.
works() { LD_PRELOAD=$1 /bin/sh -c 'test "$(echo works | tr a-z A-Z)" = WORKS'; }

all_are_there() {
    local name
    for name in mimalloc2 mimalloc3 snmalloc rpmalloc rusty_alloc; do
        [ -e "$out/lib$name.so" ] || return 1
    done
}

# peer NAME VERSION: makes lib NAME.so by the function of that name, whole or not at all.
missing=0
peer() {
    local name=$1 library=$out/lib$1.so
    if ! [ -e "$library" ]; then
        if ! "$name" "$library.new" >"$out/$name.log" 2>&1 || ! works "$library.new"; then
            echo "peers: $name is left out, it cannot be made here: $(tail -1 "$out/$name.log")"
            rm -f "$library.new"
            missing=1
            return
        fi
        mv "$library.new" "$library"
    fi
    echo "$name $2" >>"$out/versions"
}

made_of=$(cat "$here/peers.sh" "$here/peers/Cargo.lock" "$here/peers/src/lib.rs" | sha256sum)
if [ "$(cat "$out/made-of" 2>/dev/null)" != "$made_of" ]; then
    rm -f "$out"/lib*.so
    echo "$made_of" >"$out/made-of"
elif all_are_there; then
    exit 0
fi
vendor || { echo "peers: the sources cannot be fetched"; exit 2; }
c=$(compiler "${CC:-cc}")
cxx=$(compiler "${CXX:-c++}")
mimalloc="crate libmimalloc-sys $(version libmimalloc-sys), $c"
: >"$out/versions"
peer mimalloc2 "$(mimalloc_version v2) ($mimalloc)"
peer mimalloc3 "$(mimalloc_version v3) ($mimalloc)"
peer snmalloc "$(version snmalloc-sys) (crate snmalloc-sys, $cxx)"
peer rpmalloc "$(head -1 "$sources/rpmalloc-sys/rpmalloc/CHANGELOG")\
 (crate rpmalloc-sys $(version rpmalloc-sys), $c)"
peer rusty_alloc "$(version rusty_alloc) (crate rusty_alloc, $(rustc --version))"
echo "peers in $out:"
cat "$out/versions"
exit "$missing"
