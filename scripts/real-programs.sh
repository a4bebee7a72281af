#!/bin/bash
# Runs real programs from Debian packages, each with the same work every time, under a wrapper.
#
#   scripts/real-programs.sh [--list] [--only NAME]... [--scale small|full|long]
#                            [--inputs DIR] [--out DIR] [--] [WRAPPER...]
#
#   scripts/real-programs.sh --out /tmp/plain
#   scripts/real-programs.sh --out /tmp/found granule stomp --
#   scripts/real-programs.sh --out /tmp/heap granule run --
#   scripts/real-programs.sh --only git --only jq valgrind -q
#   scripts/real-programs.sh env LD_PRELOAD=libefence.so.0 EF_ALLOW_MALLOC_0=1
#
# For every program NAME the directory of --out gets
#   NAME/output   what must be equal under every wrapper
#   NAME/status   one line a command: its label and its exit status
#   NAME/stderr   what the programs and the wrapper wrote there
# At the scale `long` every program works for half a second or more, and some large ones are in the
# list that are at home at no other scale. Inputs are made without the wrapper, in the directory of
# --inputs, and used again from there.
#
# Exit status: 0 if every command of every program that is installed ended with 0; 1 if one did
# not; 2 for a wrong command line. A program that is not installed is skipped with a sentence.
# shellcheck disable=SC2317 # the run_ functions are called by name
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
programs=(git sqlite3 python3 perl lua jq xmllint gcc redis)
large=(g++ clang z3 gs node)

# The package of a program, and the file that must be there.
package_of() {
    case $1 in
    git) echo git /usr/bin/git ;;
    sqlite3) echo sqlite3 /usr/bin/sqlite3 ;;
    python3) echo python3 /usr/bin/python3 ;;
    perl) echo perl /usr/bin/perl ;;
    lua) echo lua5.4 /usr/bin/lua5.4 ;;
    jq) echo jq /usr/bin/jq ;;
    xmllint) echo libxml2-utils /usr/bin/xmllint ;;
    gcc) echo gcc /usr/bin/gcc ;;
    g++) echo g++ /usr/bin/g++ ;;
    clang) echo clang /usr/bin/clang++ ;;
    z3) echo z3 /usr/bin/z3 ;;
    gs) echo ghostscript /usr/bin/gs ;;
    node) echo nodejs /usr/bin/node ;;
    redis) echo redis-server /usr/bin/redis-server ;;
    *) usage "no program is called $1" ;;
    esac
}

# How much work at each scale.
count_of() {
    local small full long
    case $1 in
    git) small=300 full=1500 long=1500 ;;         # commits
    sqlite3) small=10000 full=40000 long=40000 ;; # rows
    python3) small=6000 full=50000 long=100000 ;; # postings
    perl) small=15000 full=120000 long=120000 ;;  # words
    lua) small=10 full=14 long=17 ;;              # depth of the trees
    jq) small=2000 full=5000 long=10000 ;;        # objects of 200 bytes
    xmllint) small=1500 full=4000 long=60000 ;;   # entries of 330 bytes
    gcc) small=60 full=280 long=200 ;;            # functions of 21 lines
    g++ | clang) small=1 full=2 long=2 ;;         # classes, and what they are put into
    z3) small=4 full=5 long=7 ;;                  # machines
    gs) small=2 full=10 long=25 ;;                # pages
    node) small=20000 full=120000 long=400000 ;;  # objects
    redis) small=500 full=3000 long=3000 ;;       # rounds of 6 commands; 4 times the requests
    esac
    case $scale in
    small) echo "$small" ;;
    full) echo "$full" ;;
    long) echo "$long" ;;
    esac
}

usage() {
    echo "real-programs.sh: $1" >&2
    sed -n '4,5p' "${BASH_SOURCE[0]}" >&2
    exit 2
}

list() {
    local name package
    for name in "${programs[@]}"; do
        read -r package _ < <(package_of "$name")
        printf '%-8s package %s\n' "$name" "$package"
    done
}

# make NAME FILE GENERATOR...: makes an input once; the file appears whole or not at all.
make() {
    local file=$1
    shift
    [ -e "$file" ] || { "$@" >"$file.new" && mv "$file.new" "$file"; }
}

generate() { /usr/bin/perl "$here/real/generate.pl" "$@"; }

# run LABEL COMMAND...: one command under the wrapper.
run() {
    local label=$1 status=0
    shift
    "${wrapper[@]}" "$@" >>"$out/output" || status=$?
    echo "$label $status" >>"$out/status"
}

git_repository() {
    [ -e "$input" ] && return
    rm -rf "$input.new"
    /usr/bin/git init -q -b main "$input.new"
    generate repository "$count" | /usr/bin/git -C "$input.new" fast-import --quiet
    mv "$input.new" "$input"
}

run_git() {
    git_repository
    run stat /usr/bin/git --no-pager -C "$input" log --stat -M
    run patch /usr/bin/git --no-pager -C "$input" log -p --word-diff
}

run_sqlite3() {
    make "$input" generate database "$count"
    rm -f "$out/database"
    run sqlite3 /usr/bin/sqlite3 "$out/database" <"$input"
}

run_python3() { run python3 /usr/bin/python3 -B -S "$here/real/work.py" "$count"; }

run_perl() { run perl /usr/bin/perl "$here/real/work.pl" "$count"; }

run_lua() { run lua /usr/bin/lua5.4 "$here/real/work.lua" "$count"; }

run_jq() {
    make "$input" generate json "$count"
    run groups /usr/bin/jq 'group_by(.kind) | map({kind: .[0].kind, total: (map(.size) | add),
        names: (map(.name) | sort | .[:3]), tags: (map(.tags[]) | unique)})' "$input"
    run changed /usr/bin/jq -c 'map(select(.live) | .note = (.owner.note | ascii_upcase)
        | del(.owner) | with_entries(.key |= "x_" + .)) | sort_by(-.x_size, .x_id)[]' "$input"
}

run_xmllint() {
    make "$input" generate xml "$count"
    run format /usr/bin/xmllint --format "$input"
    run xpath /usr/bin/xmllint --xpath '//entry[size > 20000][list/item = "guard"]/title' "$input"
}

run_gcc() {
    make "$input" generate c "$count"
    # From standard input, so that the assembly names no path.
    run gcc /usr/bin/gcc -O1 -S -x c -o - - <"$input"
}

run_g++() {
    make "$input" generate cxx "$count"
    run g++ /usr/bin/g++ -O1 -S -x c++ -o - - <"$input"
}

run_clang() {
    make "$input" generate cxx "$count"
    run clang /usr/bin/clang++ -O1 -S -x c++ -o - - <"$input"
}

run_z3() {
    make "$input" generate smt "$count"
    run z3 /usr/bin/z3 -in <"$input"
}

run_gs() {
    make "$input" generate postscript "$count"
    run gs /usr/bin/gs -q -dBATCH -dNOPAUSE -sDEVICE=png16m -r100 -sOutputFile=- "$input"
}

run_node() { run node /usr/bin/node "$here/real/work.js" "$count"; }

run_redis() {
    make "$input" generate redis "$count"
    local port tries=5
    port=$((20000 + $$ % 20000))
    until start_redis "$port" || [ $((tries -= 1)) -eq 0 ]; do
        grep -q 'Address already in use' "$out/server.log" || break
        port=$((port + 1))
    done
    if [ -S "$socket" ] && ask ping >&2; then
        work_redis "$port"
        ask shutdown nosave >&2 || true
    fi
    local status=0
    wait "$server" || status=$?
    rm -rf "$redis_directory"
    echo "redis-server $status" >>"$out/status"
}

ask() { /usr/bin/redis-cli -s "$socket" "$@"; }

# Starts a server in the background and waits until it answers; false if it never does.
start_redis() {
    redis_directory=$(mktemp -d)
    socket=$redis_directory/socket
    : >"$out/server.log"
    "${wrapper[@]}" /usr/bin/redis-server --bind 127.0.0.1 --port "$1" --unixsocket "$socket" \
        --save '' --appendonly no --dir "$redis_directory" --enable-debug-command local \
        --repl-diskless-sync-delay 0 >>"$out/server.log" </dev/null &
    server=$!
    local tries=3000
    while kill -0 "$server" 2>/dev/null && [ $((tries -= 1)) -gt 0 ]; do
        [ -S "$socket" ] && ask ping >/dev/null 2>&1 && return
        sleep 0.02
    done
    kill "$server" 2>/dev/null || true
    return 1
}

# The work itself: a benchmark over loopback, a deterministic load, a snapshot by a forked child.
work_redis() {
    local status=0
    /usr/bin/redis-benchmark -h 127.0.0.1 -p "$1" -n $((count * 4)) --csv \
        -t set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,zadd,lrange_100,mset \
        >"$out/throughput" || status=$?
    echo "redis-benchmark $status" >>"$out/status"
    status=0
    ask <"$input" | sort | uniq -c >>"$out/output" || status=$?
    ask --rdb "$redis_directory/snapshot" >&2 || status=$?
    [ -s "$redis_directory/snapshot" ] || status=1
    local command
    for command in dbsize 'llen mylist' 'get text:7' 'lrange queue:3 0 20' 'debug digest' \
        'zrange order:5 0 20' 'strlen log:4' 'get counter:__rand_int__'; do
        # shellcheck disable=SC2086 # the words of a command
        ask $command >>"$out/output" || status=$?
    done
    echo "redis-cli $status" >>"$out/status"
}

# Runs one program; prints one line about it. False if a command failed.
program() {
    local name=$1 package file
    read -r package file < <(package_of "$name")
    if ! [ -x "$file" ]; then
        echo "skipped: $name (package $package is not installed)"
        return
    fi
    out=$out_all/$name
    rm -rf "$out"
    mkdir -p "$out"
    : >"$out/output"
    count=$(count_of "$name")
    input=$inputs/$name-$count
    # With the shell's own words about a command that a signal killed.
    "run_$name" 2>>"$out/stderr"
    local statuses
    statuses=$(tr '\n' ' ' <"$out/status")
    echo "$name: $(stat -c %s "$out/output") bytes of output; exit status: ${statuses% }"
    ! grep -qv ' 0$' "$out/status"
}

only=() listed='' scale=small inputs='' out_all='' wrapper=()
while [ $# -gt 0 ]; do
    case $1 in
    --list) listed=yes ;;
    --only) package_of "${2-}" >/dev/null; only+=("$2"); shift ;;
    --scale) scale=${2-}; shift ;;
    --inputs) inputs=${2-}; shift ;;
    --out) out_all=${2-}; shift ;;
    --) shift; break ;;
    -*) usage "unknown option $1" ;;
    *) break ;;
    esac
    shift
done
wrapper=("$@")
case $scale in
small | full) ;;
long) programs+=("${large[@]}") ;;
*) usage '--scale is small, full or long' ;;
esac
if [ -n "$listed" ]; then
    list
    exit
fi
[ ${#only[@]} -gt 0 ] || only=("${programs[@]}")

if [ -z "$inputs" ]; then
    inputs=$(mktemp -d)
    trap 'rm -rf "$inputs"' EXIT
fi
out_all=${out_all:-$(mktemp -d)}
mkdir -p "$inputs" "$out_all"

# Nothing of the user's settings may change what the programs write.
export LC_ALL=C TZ=UTC GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
export PYTHONMALLOC=malloc PYTHONHASHSEED=0
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE

failed=0
for name in "${only[@]}"; do
    program "$name" || failed=1
done
echo "output in $out_all"
exit "$failed"
