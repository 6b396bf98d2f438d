#!/usr/bin/env python3
"""./profile beside torch.profiler: the same training step, op by op, in milliseconds a step.

  make profile-peers [CASES=stock32,cifar] [THREADS=2] [ROUNDS=3] [RUNS=4]

Both train ResNet-18 on 32x32 images with SGD and momentum, ours and PyTorch in turn, a process each.  What counts is
self time, so that nothing is counted twice and the rows of either side add up to its step; its median over the
rounds.  One call of ours may be several of PyTorch's: a row is the least that both sides can be asked for (GROUPS).
An op that no row names, as a copy, belongs to the row of the op around it; what is in none is `other`, and listed
by name after the table.
Tables go to build/bench/profile.md and profile.csv.
"""
import argparse
import json
import os
import statistics
import sys
import tempfile

from common import ROOT, Table, machine, run, run_json, words, write_text

CASES = {"stock32": ("imagenet", 64), "cifar": ("cifar", 32)}  # stem, batch

# row: what the names of ours begin with, and of PyTorch's; the first row that fits takes a name
GROUPS = {
    "aten::convolution_backward": (["aten::convolution_backward", "convolution_backward."],
                                   ["aten::convolution_backward", "ConvolutionBackward0"]),
    "aten::convolution": (["aten::convolution", "pack_weights", "unpack_weights"],
                          ["aten::conv2d", "aten::convolution"]),
    "aten::native_batch_norm_backward, threshold_backward": (
        ["aten::native_batch_norm_backward", "aten::threshold_backward", "native_batch_norm.again"],
        ["aten::native_batch_norm_backward", "NativeBatchNormBackward0", "aten::threshold_backward", "ReluBackward0",
         "AddBackward0"]),
    "aten::native_batch_norm, relu, add": (
        ["aten::native_batch_norm", "aten::batch_norm", "native_batch_norm.running", "running statistics",
         "aten::relu"],
        ["aten::batch_norm", "aten::relu", "aten::add", "aten::add_"]),
    "aten::max_pool2d and backward": (["aten::max_pool2d"], ["aten::max_pool2d", "MaxPool2DWithIndicesBackward0"]),
    "aten::adaptive_avg_pool2d and backward": (["aten::adaptive_avg_pool2d"],
                                               ["aten::adaptive_avg_pool2d", "MeanBackward1"]),
    "aten::linear and backward": (["aten::linear", "linear_backward."],
                                  ["aten::linear", "AddmmBackward0", "TBackward0"]),
    "aten::cross_entropy_loss and backward": (["aten::cross_entropy_loss", "loss"],
                                              ["aten::cross_entropy_loss", "LogSoftmaxBackward0", "NllLossBackward0"]),
    "aten::_fused_sgd_": (["aten::_fused_sgd_", "Optimizer.step"], ["Optimizer.step"]),
}


def fits(name, beginning):
    """aten::add is not a beginning of aten::addmm, but aten::max_pool2d is one of aten::max_pool2d_with_indices."""
    rest = name[len(beginning):]
    return name.startswith(beginning) and (beginning.endswith(".") or not rest[:1].isalnum())


def row_of(path, side):
    """The row of the innermost op of `path` that has one, and whether that is the outermost of its row."""
    rows = []
    for name in path:
        name = name.removeprefix("autograd::engine::evaluate_function: ")
        rows.append(next((row for row, names in GROUPS.items() if any(fits(name, n) for n in names[side])), None))
    found = next((row for row in reversed(rows) if row), "other")
    return found, found == "other" or rows.index(found) == len(rows) - 1


def ours(a, case, folder):
    """{path of names: (calls, self ms)} and ms, of a step: from the spans of the main thread."""
    stem, batch = CASES[case]
    command = [a.profile, "--data", "demo", "--arch", "resnet18", "--stem", stem, "--batch-size", str(batch), "--opt",
               "sgd", "--steps", str(a.runs), "--warmup", str(a.warmup), "--threads", str(a.threads), "--name", case,
               "--numerics", a.numerics, "--output", folder, "--quiet"]
    if run(command, a.threads) is None:
        return None
    with open(os.path.join(folder, f"profiler_{case}_trace.json")) as f:
        events = json.load(f)["traceEvents"]
    main = next(e["tid"] for e in events if e["name"] == "thread_name" and e["args"]["name"] == "main")
    spans = [e for e in events if e["ph"] == "X" and e["tid"] == main]
    rows, stack, step = {}, [], 0.0
    for e in spans:  # in the order of their begins, parents first
        while stack and e["ts"] >= stack[-1]["end"] - 0.0005:
            stack.pop()
        e["end"] = e["ts"] + e["dur"]
        e["path"] = (*(stack[-1]["path"] if stack else ()), e["name"])
        row = rows.setdefault(e["path"], [0, 0.0])
        row[0] += 1
        row[1] += e["dur"]
        if stack:
            rows[stack[-1]["path"]][1] -= e["dur"]
        else:
            step += e["dur"]
        stack.append(e)
    return {p: (calls / a.runs, us / 1e3 / a.runs) for p, (calls, us) in rows.items()}, step / 1e3 / a.runs


def theirs(a, case):
    stem, batch = CASES[case]
    script = os.path.join(ROOT, "benchmarks", "rivals", "torch_profile.py")
    r = run_json([a.python, script, "--stem", stem, "--image-size", "32", "--num-classes", "10", "--batch", str(batch),
                  "--threads", str(a.threads), "--warmup", str(a.warmup), "--runs", str(a.runs), "--layout", a.layout,
                  "--precision", "bf16" if a.numerics == "bf16" else "fp32"], a.threads)
    return r and ({tuple(o["path"]): (o["calls"], o["self_ms"]) for o in r["ops"]}, r["step_ms"])


def add_up(ops, step, side):
    """Calls and time of each row; time of the step that no op covers is `other`, too."""
    rows = {row: [0.0, 0.0] for row in [*GROUPS, "other"]}
    for path, (calls, ms) in ops.items():
        row, outermost = row_of(path, side)
        rows[row][0] += calls if outermost else 0
        rows[row][1] += ms
    rows["other"][1] += step - sum(ms for _, ms in ops.values())
    return rows


def median_rows(rounds, side):
    summed = [add_up(ops, step, side) for ops, step in rounds]
    return {row: (summed[0][row][0], statistics.median(s[row][1] for s in summed)) for row in summed[0]}


def unmatched(rounds, side):
    """The ops of `other`, longest first, as text; those below 10 us a step are left out."""
    ms = {}
    for ops, step in rounds:
        spent = {"between them": step - sum(t for _, t in ops.values())}
        for path, (_, t) in ops.items():
            if row_of(path, side)[0] == "other":
                spent[path[-1]] = spent.get(path[-1], 0) + t
        for name, t in spent.items():
            ms.setdefault(name, []).append(t)
    ms = {name: statistics.median(t) for name, t in ms.items()}
    return ", ".join(f"`{n}` {ms[n]:.3f}" for n in sorted(ms, key=ms.get, reverse=True) if ms[n] >= 0.01)


def compare(a, case, folder):
    """The table of a case, and what is to be said after it; None where a side failed."""
    mine, other = [], []
    for i in range(a.rounds):
        for side in (0, 1) if i % 2 == 0 else (1, 0):
            got = theirs(a, case) if side else ours(a, case, folder)
            if not got:
                return None
            (other if side else mine).append(got)
    x, y = median_rows(mine, 0), median_rows(other, 1)
    steps = [sum(ms for _, ms in rows.values()) for rows in (x, y)]
    table = Table("op", "calls ours", "PyTorch", "ours ms", "PyTorch ms", "ours / PyTorch", "share ours",
                  "share PyTorch")
    table.head()
    for row in x:
        ratio = f"{x[row][1] / y[row][1]:.3f}" if y[row][1] > 0 else ""
        table.add(row, f"{x[row][0]:g}", f"{y[row][0]:g}", f"{x[row][1]:.3f}", f"{y[row][1]:.3f}", ratio,
                  f"{100 * x[row][1] / steps[0]:.1f} %", f"{100 * y[row][1] / steps[1]:.1f} %")
    table.add("the step", "", "", f"{steps[0]:.3f}", f"{steps[1]:.3f}", f"{steps[0] / steps[1]:.3f}", "100 %", "100 %")
    notes = f"\nother, ours: {unmatched(mine, 0)}\n\nother, PyTorch's: {unmatched(other, 1)}\n"
    return table, notes


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--cases", default="all", help="list of " + ", ".join(CASES))
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--runs", type=int, default=4, help="steps that are recorded")
    ap.add_argument("--warmup", type=int, default=3)
    ap.add_argument("--numerics", default="fp32")
    ap.add_argument("--layout", choices=["contiguous", "channels_last"], default="channels_last",
                    help="of PyTorch's tensors")
    ap.add_argument("--profile", default="./profile", help="our program")
    ap.add_argument("--python", default="build/peers/bin/python", help="the one that has PyTorch")
    ap.add_argument("--out", default="build/bench", help="folder for the tables")
    a = ap.parse_args()
    asked = list(CASES) if a.cases == "all" else words(a.cases)
    for case in asked:
        if case not in CASES:
            sys.exit(f"--cases {case}: not one of all, {', '.join(CASES)}")
    if not os.path.exists(a.python):
        sys.exit(f"{a.python} is not there: make peers")
    text = f"{machine()}; {a.threads} threads, rounds: {a.rounds}, {a.numerics}, PyTorch {a.layout}\n"
    rows, titles = [], ()
    for case in asked:
        stem, batch = CASES[case]
        head = f"ResNet-18, {stem} stem, 32x32, batch {batch}, sgd: milliseconds of a step"
        print(f"\n{head}")
        with tempfile.TemporaryDirectory() as folder:
            result = compare(a, case, folder)
        if not result:
            return 1
        table, notes = result
        print(notes)
        text += f"\n{head}\n\n{table.markdown()}{notes}"
        rows += [(case, *r) for r in table.rows]
        titles = table.titles
    write_text(a.out, "profile.md", text)
    table = Table("case", *titles)
    table.rows = rows
    table.write_csv(a.out, "profile.csv")
    return 0


if __name__ == "__main__":
    sys.exit(main())
