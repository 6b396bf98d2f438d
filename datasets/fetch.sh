# fetch.sh - what the fetch scripts share; read by them, not run.
# Whatever fails, nothing half-fetched is left: files come into a temporary folder beside their place and
# are moved there when every checksum holds.

set -eu
name=$(basename "$0")

say() { echo "$name: $*" >&2; }
fail() { say "$*"; exit 1; }

# sha256 FILE: its checksum in hex.
sha256() {
    if command -v sha256sum >/dev/null 2>&1; then sha256sum <"$1" | cut -d ' ' -f 1
    elif command -v shasum >/dev/null 2>&1; then shasum -a 256 <"$1" | cut -d ' ' -f 1
    else fail "needs sha256sum or shasum"
    fi
}

# matches FILE WANTED: it is there and has this checksum.
matches() { [ -f "$1" ] && [ "$(sha256 "$1")" = "$2" ]; }

# verify FILE WANTED
verify() {
    [ -f "$1" ] || fail "$(basename "$1") is missing from what was fetched"
    got=$(sha256 "$1")
    [ "$got" = "$2" ] || fail "$(basename "$1"): SHA-256 is $got, not $2; nothing is kept"
}

# download URL FILE
download() {
    say "fetching $1"
    if command -v curl >/dev/null 2>&1; then
        curl --fail --location --silent --show-error --retry 2 --connect-timeout 30 --speed-limit 1000 --speed-time 60 \
            --output "$2" "$1" ||
            fail "cannot fetch $1"
    elif command -v wget >/dev/null 2>&1; then
        wget --quiet -t 3 -T 60 --output-document="$2" "$1" || fail "cannot fetch $1"
    else
        fail "needs curl or wget"
    fi
}

# workspace PARENT: makes the temporary folder $work there; it goes when the script ends.
workspace() {
    mkdir -p "$1" || fail "cannot make $1"
    work=$(mktemp -d "$1/fetching.XXXXXX") || fail "cannot write in $1"
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}
