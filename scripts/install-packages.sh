#!/bin/bash
# Installs the Debian packages that tests and benchmarks can use.
#
#   scripts/install-packages.sh
#
# As root it installs what is missing, without a question and without starting a service, and says
# what it did; run again it does nothing. As anybody else it prints the command that root would run.
# A package that the archive does not have is named and left out: its tests will be skipped.
#
# Exit status: 0 if all that the archive has is installed; 1 if not.
set -euo pipefail

packages=(
    gcc g++ make libc6-dbg                      # the crimes, and lines inside the C library
    electric-fence duma valgrind hyperfine time # those we measure ourselves against
    libjemalloc2 libmimalloc2.0                 # and the allocators under their arrays,
    libtcmalloc-minimal4                        # and beside our malloc
    git sqlite3 python3 perl lua5.4             # real programs
    jq libxml2-utils redis-server redis-tools   # more of them
    z3 ghostscript clang                        # and large ones, to measure malloc
    rustc-web rust-web-src                      # a compiler that can build for other systems:
    wine wine64 mingw-w64                       # Windows
    qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross # Linux on AArch64
)

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

is_offered() {
    local candidate
    candidate=$(LC_ALL=C apt-cache policy "$1" | sed -n 's/^  Candidate: //p')
    [ -n "$candidate" ] && [ "$candidate" != "(none)" ]
}

# While packages are set up, refuse every start of a service; a guard that was there stays as it is.
guard=/usr/sbin/policy-rc.d
forbid_services() {
    [ -e "$guard" ] && return
    trap 'rm -f "$guard"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$guard"
    chmod 755 "$guard"
}

if ! command -v apt-get >/dev/null; then
    echo "install-packages: there is no apt-get here; install by your own means: ${packages[*]}" >&2
    exit 1
fi

missing=()
for package in "${packages[@]}"; do
    is_installed "$package" || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    echo "install-packages: all ${#packages[@]} packages are there: ${packages[*]}"
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "install-packages: ${#missing[@]} packages are missing; run as root:" >&2
    echo "apt-get update && apt-get install --yes --no-install-recommends ${missing[*]}"
    exit 1
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet=2
offered=() absent=()
for package in "${missing[@]}"; do
    if is_offered "$package"; then offered+=("$package"); else absent+=("$package"); fi
done
if [ ${#offered[@]} -gt 0 ]; then
    forbid_services
    apt-get install --quiet=2 --yes --no-install-recommends -o Dpkg::Use-Pty=0 "${offered[@]}"
    echo "install-packages: installed ${#offered[@]} packages: ${offered[*]}"
fi
if [ ${#absent[@]} -gt 0 ]; then
    echo "install-packages: not in this archive, tests that need them are skipped: ${absent[*]}"
fi
