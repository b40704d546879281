#!/usr/bin/env bash
# Runs every example once and looks at what it prints. As root it also connects as `nobody`, who
# must be refused.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet --examples --features axum,tonic
bin=${CARGO_TARGET_DIR:-target}/debug/examples
log=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$log"' EXIT

# Starts a server example on a free port and waits for it; its address is in $address.
start() {
    "$bin/$1" 127.0.0.1:0 >"$log/$1" &
    for _ in $(seq 100); do
        address=$(sed -n 's/^listening on //p' "$log/$1")
        [ -n "$address" ] && return
        sleep 0.05
    done
    echo "$1 did not start" >&2
    exit 1
}

# Fails unless the text has the words.
expect() {
    if ! grep -qF -- "$1" <<<"$2"; then
        printf 'expected "%s" in:\n%s\n' "$1" "$2" >&2
        exit 1
    fi
}

me="($(id -u)), same cluster, same image, internal"
out=$("$bin/both_ends")
expect "the server's partner: user" "$out"
expect "the client's partner: user" "$out"
expect "$me" "$out"

start echo_server
out=$("$bin/echo_client" "$address")
expect "$me" "$out"
expect "it answered hello" "$out"
expect "$me" "$("$bin/nonblocking_client" "$address")"
expect "$me" "$(cat "$log/echo_server")"

start require_same_user
host=${address%:*} port=${address##*:}
ask="exec 3<>/dev/tcp/$host/$port; cat <&3"
expect "welcome, $(id -un)($(id -u))" "$(bash -c "$ask")"
if [ "$(id -u)" = 0 ]; then
    out=$(setpriv --reuid=65534 --regid=65534 --clear-groups bash -c "$ask")
    expect "refused: this service is for user 0 alone, and you are nobody(65534)" "$out"
else
    echo "not root: the stranger of require_same_user was left out"
fi
for server in axum_protected hyper_protected; do
    start "$server"
    expect "welcome: user $(id -un)($(id -u)), same cluster" "$(curl -s --noproxy '*' "$address")"
    if [ "$(id -u)" = 0 ]; then
        out=$(setpriv --reuid=65534 --regid=65534 --clear-groups curl -s --noproxy '*' -w '%{http_code}' "$address")
        expect "refused: not-admitted" "$out"
        expect "403" "$out"
    fi
done
start tonic_protected
expect "welcome: user $(id -un)($(id -u)), same cluster" "$("$bin/tonic_protected" call "$address")"
printf '[[profile]]\nname = "EZB.**"\npermit = [{ user = "daemon", access = "READ" }]\n' >"$log/policy"
expect "daemon(1): yes: permit user daemon READ in profile EZB.**" \
    "$("$bin/check_policy" "$log/policy" "uid=1(daemon) gid=1(daemon) groups=1(daemon)")"
expect "x(5): no: universal access NONE of profile EZB.**" \
    "$("$bin/check_policy" "$log/policy" "uid=5(x) gid=5(x) groups=5(x)" || true)"
echo "all examples did as they say"
