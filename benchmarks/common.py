"""What the two drivers share: the cases, a program run for its JSON, tables.  Standard library only."""
import csv
import json
import os
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


class Case:
    """ResNet-18 of one shape, and how many calls of it are timed."""

    def __init__(self, mode, stem, size, classes, batch, optimizer, warmup, runs):
        self.mode, self.stem, self.size, self.classes, self.batch = mode, stem, size, classes, batch
        self.optimizer, self.warmup, self.runs = optimizer, warmup, runs

    def flags(self):
        return ["--stem", self.stem, "--image-size", str(self.size), "--num-classes", str(self.classes)]

    def describe(self):
        return (f"{'training' if self.mode == 'train' else 'inference'}, {self.stem} stem, {self.size}x{self.size}, "
                f"{self.classes} classes, batch {self.batch}" + (f", {self.optimizer}" if self.mode == "train" else ""))


CASES = {
    "train-cifar": Case("train", "cifar", 32, 10, 128, "sgd", 2, 6),
    "train-stock32": Case("train", "imagenet", 32, 10, 128, "sgd", 3, 30),
    "train-224": Case("train", "imagenet", 224, 2, 32, "adamw", 2, 6),
    "infer-224-b1": Case("infer", "imagenet", 224, 1000, 1, "sgd", 5, 100),
    "infer-224-b8": Case("infer", "imagenet", 224, 1000, 8, "sgd", 3, 20),
    "infer-224-b32": Case("infer", "imagenet", 224, 1000, 32, "sgd", 2, 8),
    "infer-224-b64": Case("infer", "imagenet", 224, 1000, 64, "sgd", 2, 6),
    "infer-cifar-b1": Case("infer", "cifar", 32, 10, 1, "sgd", 20, 300),
}


def add_arguments(ap):
    ap.add_argument("--cases", default="all", help="all, train, infer or a list of " + ", ".join(CASES))
    ap.add_argument("--threads", default="1,2", help="list of thread counts")
    ap.add_argument("--numerics", default="fp32,fp32-winograd,bf16", help="list of ours; for inference also fp32+fold and so on")
    ap.add_argument("--isa", default="", help="caps the instruction set of both sides: avx2, avx512, amx")
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--runs", type=int, help="calls that are timed, instead of the case's")
    ap.add_argument("--bench", default="./bench", help="our program")
    ap.add_argument("--out", default="build/bench", help="folder for the tables")


def words(text):
    return [w for w in text.split(",") if w]


def cases(text):
    """The cases that `text` names: whole names, or the beginnings of names."""
    found = [n for n in CASES if text == "all" or any(n.startswith(w) for w in words(text))]
    for w in words(text):
        if w != "all" and not any(n.startswith(w) for n in CASES):
            sys.exit(f"--cases {w}: not one of all, train, infer, {', '.join(CASES)}")
    return found


def run(command, threads, env=()):
    """What the program prints; None, said, where it fails."""
    env = dict(os.environ, OMP_NUM_THREADS=str(threads), PYTHONDONTWRITEBYTECODE="1", **dict(env))
    env.pop("RESNET_ISA", None)
    try:
        r = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True, timeout=1800)
    except (OSError, subprocess.TimeoutExpired) as e:
        print(f"{' '.join(command)}: {e}", file=sys.stderr)
        return None
    if r.returncode:
        print(f"{' '.join(command)}: exit {r.returncode}: {r.stderr.strip()[-300:]}", file=sys.stderr)
        return None
    return r.stdout


def run_json(command, threads, env=()):
    """The object that the program prints, after whatever its libraries have to say; None where it fails."""
    text = run(command, threads, env)
    return text and json.loads(text[text.index("{"):])


def ours(a, name, numerics, threads):
    """One process of ./bench: its row of results.  numerics: fp32+fold is fp32 with batch norm folded."""
    c = CASES[name]
    numerics, _, fold = numerics.partition("+")
    command = [a.bench, "--mode", c.mode, "--arch", "resnet18", *c.flags(), "--batch-sizes", str(c.batch), "--opt",
               c.optimizer, "--threads", str(threads), "--numerics", numerics, "--data-free", "--json", "--warmup",
               str(c.warmup), "--runs", str(a.runs or c.runs)] + (["--isa", a.isa] if a.isa else []) + (["--" + fold] if fold else [])
    r = run_json(command, threads)
    return r and r["results"][0]


class Table:
    """Rows under titles; printed as they come, and written as Markdown and CSV."""

    def __init__(self, *titles):
        self.titles, self.rows = titles, []

    def line(self, cells):
        return "  ".join(f"{str(c):>{max(9, len(t))}}" if i else f"{str(c):<16}"
                         for i, (c, t) in enumerate(zip(cells, self.titles)))

    def head(self):
        print(self.line(self.titles), flush=True)

    def add(self, *cells):
        self.rows.append(cells)
        print(self.line(cells), flush=True)

    def markdown(self):
        text = ["| " + " | ".join(self.titles) + " |", "|---" * len(self.titles) + "|"]
        return "\n".join(text + ["| " + " | ".join(map(str, r)) + " |" for r in self.rows]) + "\n"

    def write_csv(self, folder, name):
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, name), "w", newline="") as f:
            w = csv.writer(f, lineterminator="\n")
            w.writerow(self.titles)
            w.writerows(self.rows)


def write_text(folder, name, text):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "w") as f:
        f.write(text)


def machine():
    """One line about the processor."""
    try:
        with open("/proc/cpuinfo") as f:
            model = next((x.split(":", 1)[1].strip() for x in f if x.startswith("model name")), "unknown CPU")
    except OSError:
        model = "unknown CPU"
    return f"{model}, {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} CPUs"
