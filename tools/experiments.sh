#!/bin/sh
# experiments.sh - what `make experiments` does: experiments.sh FOLDER-OF-PROGRAMS [--dry-run] [--quiet].
# Runs what this machine can of the profiling study, and sums it up.  What was finished before is kept; what
# could not run here leaves the program's own words in NAME.na.  --dry-run only prints the commands.
set -eu
bin=$1
shift
dry= quiet=
for flag; do
    case $flag in
    --dry-run) dry=yes ;;
    --quiet) quiet=--quiet ;;
    *) echo "experiments.sh: unknown flag $flag; there are --dry-run and --quiet" >&2; exit 2 ;;
    esac
done

data=${DATA:-cifar10:datasets}
out=${EXPERIMENT_DIR:-runs/experiments}
stems=${EXPERIMENT_STEMS:-imagenet cifar}
batches=${EXPERIMENT_BATCHES:-16,32,64,128,256,512}
runs=${EXPERIMENT_RUNS:-10}

val_images=${EXPERIMENT_VAL_IMAGES:-0}
# The stem's number of training images (0: all), and of epochs.
images() { case $1 in cifar) echo "${EXPERIMENT_CIFAR_IMAGES:-5000}" ;; *) echo "${EXPERIMENT_IMAGES:-0}" ;; esac; }
epochs() { case $1 in cifar) echo "${EXPERIMENT_CIFAR_EPOCHS:-1}" ;; *) echo "${EXPERIMENT_EPOCHS:-5}" ;; esac; }

say() { echo "$*" >&2; }

# describe: what the summary says about the machine.
describe() {
    cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo 2>/dev/null | head -n 1)
    [ -n "$cpu" ] || cpu=$(sysctl -n machdep.cpu.brand_string 2>/dev/null || uname -m)
    echo "Processor: $cpu"
    echo "Cores: $(getconf _NPROCESSORS_ONLN)"
    sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo 2>/dev/null |
        awk '{ printf "Memory: %d MB\n", $1 / 1024 }'
    echo "System: $(uname -s) $(uname -m)"
    "$bin/train" --version | sed -n '1s/^/Program: /p; s/^\([a-zA-Z][a-zA-Z ]*[a-zA-Z]\)   *\(.*\)/\1: \2/p' |
        awk '{ print toupper(substr($0, 1, 1)) substr($0, 2) }'
}

# show COMMAND...: one line to copy.
show() {
    line=
    for word; do
        case $word in *[!A-Za-z0-9_./:,=-]* | '') word="'$word'" ;; esac
        line="$line $word"
    done
    echo "${line# }"
}

# probe NAME COMMAND...: whether that training can begin: 0; 1: not on this machine, and why stands in NAME.na.
probe() {
    name=$1 status=0
    shift
    words=$("$@" --dry-run 2>&1 >/dev/null) || status=$?
    [ $status = 0 ] && return 0
    case $name:$status in
    exp[35]:[12] | exp[35]-cifar:[12])
        if echo "$words" | grep -qi -e cuda -e gpu; then
            words=$(echo "$words" | tail -n 1)
            say "$name: N/A: $words"
            if [ -z "$dry" ]; then echo "$words" >"$out/$name.na"; fi
            return 1
        fi ;;
    esac
    say "$words"
    exit $status
}

# train NAME PRESET STEM FLAG...
train() {
    name=$1 preset=$2 stem=$3
    shift 3
    set -- "$bin/train" --preset "$preset" --data "$data" --stem "$stem" --epochs "$(epochs "$stem")" \
        --limit-train "$(images "$stem")" --limit-val "$val_images" "$@" --profile
    probe "$name" "$@" || return 0
    set -- "$@" --output "$out/$name"
    command=$(show "$@")
    if [ -n "$dry" ]; then echo "$command"; return 0; fi
    if [ -f "$out/$name/summary.json" ]; then
        if [ "$command" = "$(cat "$out/$name/command.txt" 2>/dev/null)" ]; then say "$name: finished before, kept"
        else say "$name: kept, but it ran with other settings; remove $out/$name to run it again"; fi
        return 0
    fi
    say "$name: $command"
    "$@" --overwrite $quiet || stop $? "$name"
    echo "$command" >"$out/$name/command.txt"
    rm -f "$out/$name.na"
}

# stop STATUS NAME: the rest waits for the next call.
stop() {
    say "$2 ended with exit status $1; the same command goes on from there, and what is finished is kept"
    exit "$1"
}

# sweep NAME STEM FLAG...: speed and memory over batch sizes, and the batch to train with in $knee.
sweep() {
    name=$1 stem=$2 file=$out/$1_batches knee=64
    shift 2
    set -- "$name" "$bin/bench" --mode train --arch resnet18 --stem "$stem" --image-size 32 --num-classes 10 "$@" \
        --batch-sizes "$batches" --warmup 2 --runs "$runs" --data "$data" --csv "$file.csv"
    if "$bin/bench" --version | grep -q '^cairo  *found'; then set -- "$@" --plot "$file.png"; fi
    if [ -n "$dry" ]; then
        shift
        echo "$(show "$@") --json >$file.json"
        say "exp4 then trains with the sweep's sweet spot; below, $knee stands for it"
        return 0
    fi
    if [ -f "$file.json" ]; then say "$1: batch sizes measured before, kept"
    else
        name=$1
        shift
        say "$name: $(show "$@") --json"
        "$@" --json >"$file.part" || { status=$?; rm -f "$file.part"; stop $status "$name"; }
        mv -f "$file.part" "$file.json"
    fi
    knee=$(sed -n 's/.*"knee_batch": \([0-9]*\).*/\1/p' "$file.json")
    if [ -z "$knee" ]; then say "$file.json: it names no knee_batch"; exit 3; fi
    say "sweet spot: batch $knee"
}

experiment() {
    tail=
    [ "$2" = cifar ] && tail=-cifar
    case $1 in
    exp1 | exp2 | exp3) train "$1$tail" "$1" "$2" ;;
    exp4)
        if [ -n "$gpu" ]; then
            sweep "exp4$tail" "$2" --backend cuda --numerics fast-fp16
            train "exp4$tail" exp4 "$2" --batch-size "$knee" --backend cuda --amp fp16
        else
            sweep "exp4$tail" "$2" --numerics bf16
            train "exp4$tail" exp4 "$2" --batch-size "$knee"
        fi ;;
    exp5)
        train "exp5$tail" exp5 "$2"
        # Where there is no GPU for it: the same in bf16, with the scaler that fp16 would need.
        if [ -z "$gpu" ]; then
            train "exp5-cpu$tail" exp5 "$2" --backend cpu --amp bf16 --loss-scale dynamic
        fi ;;
    *) say "EXPERIMENTS: there is no $1; there are exp1 exp2 exp3 exp4 exp5"; exit 2 ;;
    esac
}

probe data "$bin/train" --preset exp1 --data "$data"
gpu=
if "$bin/train" --preset exp5 --data "$data" --dry-run >/dev/null 2>&1; then gpu=yes; fi
if [ -z "$dry" ]; then
    mkdir -p "$out" || exit 4
    describe >"$out/machine.new" || exit 4
    if [ -f "$out/machine.txt" ] && ! cmp -s "$out/machine.txt" "$out/machine.new"; then
        say "$out/machine.txt describes another machine or build than this one:"
        diff "$out/machine.txt" "$out/machine.new" >&2 || true
        rm -f "$out/machine.new"
        say "remove $out to begin anew, or say EXPERIMENT_DIR=another folder"
        exit 2
    fi
    mv -f "$out/machine.new" "$out/machine.txt"
fi
for stem in $stems; do
    case $stem in
    imagenet | cifar) ;;
    *) say "EXPERIMENT_STEMS: there are imagenet and cifar, not $stem"; exit 2 ;;
    esac
    for number in ${EXPERIMENTS:-exp1 exp2 exp3 exp4 exp5}; do experiment "$number" "$stem"; done
done
if [ -n "$dry" ]; then show "$bin/report" --experiments "$out"; exit 0; fi
"$bin/report" --experiments "$out"
