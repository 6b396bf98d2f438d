#!/bin/sh
# stats.sh - sizes, room by room: files, lines, share of comment lines, and the lengths of functions
# (from the brace in the first column to its twin).  Fails on a file over 500 lines, a function over 80 or a
# line over 120 columns.
set -u
find include src ref tools tests benchmarks \( -name '*.c' -o -name '*.h' -o -name '*.inc' -o -name '*.cu' -o -name '*.cpp' \) | sort | xargs awk '
function flush_file() {
    if (file == "") return
    room = file
    sub("/[^/]*$", "", room)
    if (!(room in files)) order[++rooms] = room
    files[room]++; lines[room] += count; comments[room] += commented
    if (count > 500) { printf "%s: %d lines, more than 500\n", file, count; bad = 1 }
}
FNR == 1 { flush_file(); file = FILENAME; count = commented = inside = open = 0; head = "" }
length($0) > 120 { printf "%s:%d: %d columns, more than 120\n", FILENAME, FNR, length($0); bad = 1 }
{
    count++
    if (inside || $0 ~ /^[ \t]*\/\*/ || $0 ~ /\/\*.*\*\// || $0 ~ /^[ \t]*\/\//) commented++
    rest = $0
    gsub(/\/\*.*\*\//, "", rest)
    if (rest ~ /\/\*/) inside = 1
    if (rest ~ /\*\//) inside = 0
}
/^[a-z].*\(/ && !/;$/ { head = $0; sub(/\(.*/, "", head); sub(/.*[ *]/, "", head) }
/^{/ { open = FNR }
/^}/ && open {
    if (head != "") {
        room = FILENAME
        sub("/[^/]*$", "", room)
        length_of[room, ++functions[room]] = FNR - open + 1
        if (FNR - open + 1 > 80) { printf "%s:%d: %s has %d lines, more than 80\n", FILENAME, open, head, FNR - open + 1; bad = 1 }
    }
    open = 0; head = ""
}
function nth(room, share,   n, i, j, t, v) {
    n = functions[room]
    if (!n) return 0
    for (i = 1; i <= n; i++) v[i] = length_of[room, i]
    for (i = 2; i <= n; i++) { t = v[i]; for (j = i - 1; j > 0 && v[j] > t; j--) v[j + 1] = v[j]; v[j + 1] = t }
    i = int(share * n + 0.5)
    return v[i < 1 ? 1 : i > n ? n : i]
}
END {
    flush_file()
    printf "%-16s %6s %7s %9s %10s %7s %5s %8s\n", "room", "files", "lines", "comments", "functions", "median", "p90", "longest"
    for (i = 1; i <= rooms; i++) {
        r = order[i]
        printf "%-16s %6d %7d %8d%% %10d %7d %5d %8d\n", r, files[r], lines[r], 100 * comments[r] / lines[r], \
            functions[r], nth(r, 0.5), nth(r, 0.9), nth(r, 1)
    }
    exit bad
}'
