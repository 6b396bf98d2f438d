#!/usr/bin/env python3
"""The experiments of docs/experiments/baseline-fp32.md: ResNet-18 at 224x224 in FP32, two classes.

  python3 benchmarks/baseline_224.py [--cifar DIR] PART...        parts, in this order; `all` is every one:

  finetune      cats against dogs from a net trained on CIFAR-10's other eight classes, beside the same from
                scratch, three seeds, at 64 pixels
  finetune-224  one seed of it at 224 pixels
  demo          the preset on the built-in set of 224 pixels, to 98.95 %
  upsample      pictures of 64 pixels as they are, and resized to 224 inside the net: accuracy, time, memory
  sweep         inference at 224 over batch sizes, with a plot; memory at batch 1
  memory        training at 224 with batches of 64, beside PyTorch (build/peers, `make peers`)
  tables        nothing new: all tables from what there is, in OUT/tables.md

Whatever is done is kept in --out and not done again: a part that was interrupted goes on, in training from its
last checkpoint (--checkpoint-every).  To repeat something, remove its folder or file there.  What ./train, ./bench
and ./evaluate print with --json lies beside; each part ends with its table, as .csv too.
"""
import argparse
import contextlib
import csv
import io
import json
import os
import re
import statistics
import subprocess
import sys

sys.dont_write_bytecode = True  # the two modules lie beside this file
import peers
from common import CASES, Case, Table, machine, ours, words, write_text

OTHERS = "airplane,automobile,bird,deer,frog,horse,ship,truck"
PRESET = ["--preset", "baseline-fp32"]
START = "eight"  # the run whose weights fine-tuning starts from
ARMS = {"pretrained": [], "scratch": [], "scratch, lr 1e-3": ["--lr", "0.001"]}
ENOUGH = 98.95  # percent, the preset's target
MEMORY_OURS = "fp32", "fp32-winograd", "fp32+checkpoint-activations"
MEMORY_PEERS = {"contiguous": "torch", "channels_last": "torch-nhwc"}


# -- running things once ---------------------------------------------------------------------------

class Missing(Exception):
    """What `tables` would have to run."""


def path(a, *parts):
    return os.path.join(a.out, *parts)


def keep(a, name, text):
    """OUT/NAME, whole or not at all."""
    write_text(a.out, name + ".part", text)
    os.replace(path(a, name + ".part"), path(a, name))


def run(a, command):
    """What the program prints; ends all where it fails."""
    print("+", " ".join(command), file=sys.stderr, flush=True)
    env = dict(os.environ, OMP_NUM_THREADS=str(a.threads))
    r = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=env)
    if r.returncode:
        sys.exit(r.returncode if r.returncode > 0 else 128 - r.returncode)
    return r.stdout


def once(a, name, make):
    """The text of OUT/NAME: what make() returns, unless it is there already."""
    if not os.path.exists(path(a, name)):
        if a.only_tables:
            raise Missing(name)
        keep(a, name, make())
    with open(path(a, name)) as f:
        return f.read()


def result(a, name, tool, *flags):
    """The object that one of our programs prints, kept as OUT/NAME.json."""
    command = [os.path.join(a.bin, tool), *flags, "--threads", str(a.threads), "--quiet", "--json"]
    return json.loads(once(a, name + ".json", lambda: run(a, command)))


def last(a, name):
    return path(a, name, "checkpoints", "net_last.pth")


def train(a, name, *flags, epochs):
    """A training run in OUT/NAME, to so many epochs; goes on where there is a checkpoint."""
    flags = ["--resume", last(a, name)] if os.path.exists(last(a, name)) else [
        *flags, "--output", path(a, name), "--overwrite", "--checkpoint-name", "net", "--checkpoint-every", "200"]
    return result(a, f"{name}-{epochs}", "train", *flags, "--epochs", str(epochs))


def accuracy(a, name, data):
    """Top-1 of the last weights, not of the best that validation saw."""
    return result(a, name + "-test", "evaluate", "--checkpoint", last(a, name), "--data", data, "--split", "val")["top1"]


def pictures(a, name, *flags):
    """folder:OUT/NAME with classes of CIFAR-10 as PNG files."""
    folder, part = path(a, name), path(a, name + ".part")
    if not os.path.exists(folder) and not a.only_tables:
        if os.path.exists(part):
            sys.exit(f"{part} is half written: remove it")
        os.makedirs(a.out, exist_ok=True)
        run(a, [os.path.join(a.bin, "convert"), "--images", "cifar10:" + a.cifar, part, "--quiet", *flags])
        os.rename(part, folder)
    return "folder:" + folder


def pets(a):
    return pictures(a, "cat-dog", "--classes", "cat,dog", "--limit", "1000")


def epochs_of(a, name):
    with open(path(a, name, "results.csv")) as f:
        return list(csv.DictReader(f))


def seconds(a, name):
    """Of training, without validation; all epochs, also those before an interruption."""
    return sum(float(row["seconds"]) for row in epochs_of(a, name))


def start(a):
    """The weights that fine-tuning starts from, made if they are not there yet."""
    if a.weights:
        return a.weights
    if not a.only_tables:
        train(a, START, "--data", pictures(a, "others", "--classes", OTHERS), "--stem", "imagenet", "--image-size", "64",
              "--batch-size", "64", "--augment", "crop,flip", "--lr", "0.05", "--nesterov", "--lr-scheduler", "onecycle",
              "--label-smoothing", "0.1", "--numerics", "fp32-winograd", "--workers", "2", epochs=3)
    return last(a, START)


# -- parts -----------------------------------------------------------------------------------------

class Noted(Table):
    """A table with sentences under it."""

    def __init__(self, *titles):
        super().__init__(*titles)
        self.notes = []

    def note(self, text):
        self.notes.append(text)
        print(text, flush=True)

    def markdown(self):
        return super().markdown() + "".join(f"\n{n}\n" for n in self.notes)


def tune(a, size, seeds, arms, numerics):
    """Accuracy by arm and seed."""
    table = Noted("start", "pixels", "seed", "numerics", "train loss", "test top-1 %", "training s", "peak MB")
    data, found = pets(a), {}
    table.head()
    for seed in seeds:
        for arm in arms:
            name = f"{re.sub('[^a-z0-9]+', '-', arm)}-{size}-seed{seed}"
            flags = ["--weights", start(a)] if arm == "pretrained" else ARMS[arm]
            s = train(a, name, *PRESET, "--data", data, "--image-size", str(size), "--seed", str(seed),
                      "--numerics", numerics, *flags, epochs=5)
            found[arm, seed] = accuracy(a, name, data)
            table.add(arm, size, seed, s["numerics"], f"{s['train_loss']:.4f}", f"{found[arm, seed]:.2f}",
                      f"{seconds(a, name):.0f}", f"{s['peak_rss_mb']:.0f}")
    for arm in arms:
        gains = [found["pretrained", s] - found[arm, s] for s in seeds]
        table.note(f"{arm}: mean {statistics.mean(found[arm, s] for s in seeds):.2f} %" + ("" if arm == "pretrained" else
                   f"; pretrained {statistics.mean(gains):+.2f} points from it ({min(gains):+.2f} to {max(gains):+.2f})"))
    return table


def finetune(a):
    return tune(a, 64, list(map(int, words(a.seeds))), list(ARMS), "fp32")


def finetune_224(a):
    return tune(a, 224, [42], ["pretrained", "scratch"], a.numerics)


def demo(a):
    """The preset's ten epochs; five more, up to three times, while they are not enough."""
    for epochs in 10, 15, 20, 25:
        s = train(a, "demo", *PRESET, "--data", "demo:224", "--numerics", a.numerics, "--weights", start(a), epochs=epochs)
        if s["best_acc"] >= ENOUGH:
            break
    table = Noted("numerics", "epochs", "steps", "best val %", "last val %", "train loss", "training s", "peak MB")
    table.head()
    table.add(s["numerics"], s["epochs"], s["steps"], f"{s['best_acc']:.2f}", f"{s['val_acc']:.2f}",
              f"{s['train_loss']:.4f}", f"{seconds(a, 'demo'):.0f}", f"{s['peak_rss_mb']:.0f}")
    first = next((row["epoch"] for row in epochs_of(a, "demo") if float(row["val_acc"]) >= ENOUGH), None)
    table.note(f"{ENOUGH} % first in epoch {first}" if first else f"{ENOUGH} % not reached")
    return table


def bench(a, name, batches, mode, warmup, runs, *flags):
    """./bench in fp32 on random pictures."""
    return result(a, name, "bench", "--mode", mode, "--batch-sizes", batches, "--warmup", str(warmup), "--runs", str(runs),
                  "--num-classes", "2", "--opt", "adamw", "--data-free", *flags)


def early(a, size):
    """Milliseconds of the first convolutions, up to 64 channels: {name: [forward, both gradients]}."""
    tool = os.path.join(a.bin, "layers")
    tool = tool if os.path.exists(tool) else "build/release/bin/layers"
    text = once(a, f"layers-{size}.txt", lambda: run(a, [tool, "--stem", "imagenet", "--image-size", str(size), "--num-classes",
                                                         "2", "--batch-size", "32", "--runs", "5", "--threads", str(a.threads)]))
    found = {}
    for channels, filter_, rest in re.findall(r"^\d+ x (\d+>64)@\d+ (\S+) g1(.*)", text, re.MULTILINE):
        ms = [0 if c == "-" else float(c) for c in rest.split()[::3]]  # each with GFLOP/s and a share behind it
        found[f"{channels} {filter_}"] = [ms[0], ms[1] + ms[2]]
    return found


def side(a, name, flags):
    """All rows of one side of the comparison."""
    data, row = pets(a), {}
    s = train(a, name, *PRESET, "--data", data, "--image-size", "64", "--numerics", a.numerics, "--weights", start(a),
              *flags, epochs=2)
    row["top-1 after 2 epochs, %"] = accuracy(a, name, data)
    row[f"training, 2 epochs, {s['numerics']}, s"] = seconds(a, name)
    for mode, batch, warmup, runs in ("infer", 1, 10, 50), ("infer", 64, 1, 5), ("train", 64, 1, 3):
        r = bench(a, f"{name}-{mode}-{batch}", str(batch), mode, warmup, runs, "--image-size", "64", *flags)["results"][0]
        row[f"{mode}, batch {batch}, fp32, ms"] = r["median_ms"]
        row[f"{mode}, batch {batch}, fp32, peak MB"] = r["peak_rss_mb"]
    for layer, ms in early(a, 224 if flags else 64).items():
        row[f"{layer}, batch 32, forward, ms"], row[f"{layer}, batch 32, gradients, ms"] = ms
    return row


def upsample(a):
    table = Noted("64 pixels, cats and dogs", "as they are", "to 224 in the net", "ratio")
    small, large = side(a, "plain", []), side(a, "upsampled", ["--upsample", "224"])
    table.head()
    for what, x in small.items():
        y = large[what]
        table.add(what, f"{x:.2f}", f"{y:.2f}", f"{y - x:+.2f} points" if what.endswith("%") else f"{y / x:.2f}")
    return table


def sweep(a):
    table = Noted("batch", "mean ms", "per image ms", "images/s", "std", "p50", "p95", "p99", "GFLOP/s", "of peak", "peak MB")
    r = bench(a, "sweep", "1,8,16,32,64", "infer", 10, 100, "--csv", path(a, "sweep-bench.csv"), "--plot", path(a, "sweep.png"))
    one = bench(a, "sweep-one", "1", "infer", 10, 20)["results"][0]
    table.head()
    for x in r["results"]:
        ms = x["mean_ms"], x["mean_ms"] / x["batch"], x["images_per_second"], x["std_ms"], x["p50_ms"], x["p95_ms"], x["p99_ms"]
        table.add(x["batch"], *(f"{v:.2f}" for v in ms), f"{x['gflops']:.1f}",
                  f"{100 * x['gflops'] / x['peak_gflops_measured']:.0f} %", f"{x['peak_rss_mb']:.1f}")
    table.note(f"knee: batch {r['knee_batch']}; peak of a process with batch 1 alone: {one['peak_rss_mb']:.1f} MB")
    return table


def measure_memory(a):
    """Rows of (program, what it says), ours and PyTorch's in turn, a process each."""
    case, rows = "train-224-b64", []
    CASES[case] = Case("train", "imagenet", 224, 2, 64, "adamw", 1, 3)
    for _ in range(a.rounds):
        rows += [("ours, " + n.replace("+", ", "), ours(a, case, n, a.threads)) for n in MEMORY_OURS]
        rows += [("PyTorch, " + n, peers.rival(a, r, "fp32", case, a.threads)) for n, r in MEMORY_PEERS.items()]
    if not all(r for _, r in rows):
        sys.exit("memory: not every program ran")
    return json.dumps(rows)


def memory(a):
    rows = json.loads(once(a, "memory.json", lambda: measure_memory(a)))
    table = Noted("program", "ms a step", "images/s", "peak MB", "of PyTorch's least")
    names = list(dict.fromkeys(n for n, _ in rows))
    ms, rate, peak = ({n: statistics.median(r[k] for m, r in rows if m == n) for n in names}
                      for k in ("median_ms", "images_per_second", "peak_rss_mb"))
    least = min(peak[n] for n in names if n.startswith("PyTorch"))
    table.head()
    for n in names:
        table.add(n, f"{ms[n]:.0f}", f"{rate[n]:.1f}", f"{peak[n]:.0f}", f"{peak[n] / least:.2f}")
    return table


PARTS = {"finetune": finetune, "finetune-224": finetune_224, "demo": demo, "upsample": upsample, "sweep": sweep,
         "memory": memory}


def write_tables(a):
    """OUT/tables.md, of the parts that are done."""
    a.only_tables, text = True, machine() + f"; {a.threads} threads\n"
    for part, table_of in PARTS.items():
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                text += f"\n## {part}\n\n{table_of(a).markdown()}"
        except Missing as m:
            text += f"\n## {part}\n\nnot done yet: {m}\n"
    write_text(a.out, "tables.md", text)
    print("\n" + text)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("part", nargs="+", choices=[*PARTS, "all", "tables"])
    ap.add_argument("--cifar", default="datasets/cifar-10-batches-bin", help="folder of CIFAR-10's binary version")
    ap.add_argument("--out", default="runs/baseline-224", help="what was done, and the tables")
    ap.add_argument("--bin", default=".", help="folder of our programs")
    ap.add_argument("--weights", help="start from these instead of training on the eight classes")
    ap.add_argument("--seeds", default="1,2,3", help="of finetune")
    ap.add_argument("--numerics", default="fp32", help="of the trainings at 224 pixels; fp32-winograd is faster")
    ap.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    ap.add_argument("--rounds", type=int, default=1, help="of memory")
    ap.add_argument("--python", default="build/peers/bin/python", help="the one that has PyTorch")
    a = ap.parse_args()
    a.bench, a.isa, a.runs, a.only_tables = os.path.join(a.bin, "bench"), "", None, False
    for part in PARTS if "all" in a.part else [p for p in a.part if p != "tables"]:
        print(f"\n{part}", flush=True)
        PARTS[part](a).write_csv(a.out, part + ".csv")
    if {"all", "tables"} & set(a.part):
        write_tables(a)


if __name__ == "__main__":
    main()
