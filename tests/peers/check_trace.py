#!/usr/bin/env python3
"""A profile of ./profile as its readers see it: the trace by the Trace Event Format's rules, beside the summary.

  python3 tests/peers/check_trace.py [--program ./profile]

Three training steps of ResNet-18: every op of a step has a leaf; the leaves are 98 % of the steps or more; the self
times of the main thread are the summary's total.  Nesting and order are test_profile's.  Standard library only.
"""
import argparse
import collections
import json
import os
import re
import subprocess
import sys
import tempfile

STEPS = 3
LEAVES = {  # of a step: 20 convolutions, the first of which gives its source no gradient
    r"aten::convolution": 20, r"convolution_backward\.weights": 20, r"convolution_backward\.data": 19,
    r"aten::native_batch_norm(\+.*)?": 20, r"aten::native_batch_norm_backward(\+.*)?": 20, r"aten::linear": 1,
    r"linear_backward\.weights": 1, r"linear_backward\.data": 1, r"aten::max_pool2d_with_indices": 1,
    r"aten::max_pool2d_with_indices_backward": 1, r"aten::adaptive_avg_pool2d": 1,
    r"aten::adaptive_avg_pool2d_backward": 1, r"aten::cross_entropy_loss": 1, r"aten::_fused_sgd_": 1,
}
UNITS = {"us": 1, "ms": 1e3, "s": 1e6}
failed = 0


def check(what, fine, why=""):
    global failed
    failed += not fine
    print(f"{'ok  ' if fine else 'FAIL'} {what}{'' if fine else f': {why}'}")


ap = argparse.ArgumentParser()
ap.add_argument("--program", default="./profile")
a = ap.parse_args()
with tempfile.TemporaryDirectory() as t:
    subprocess.run([a.program, "--data", "demo", "--stem", "cifar-pool", "--batch-size", "16", "--steps", str(STEPS),
                    "--threads", "2", "--workers", "1", "--memory", "--name", "x", "--output", t, "--quiet"], check=True)
    with open(os.path.join(t, "profiler_x_trace.json")) as f:
        events = json.load(f)["traceEvents"]
    with open(os.path.join(t, "profiler_x_summary.txt")) as f:
        summary = f.read()

kinds = collections.Counter(e["ph"] for e in events)
check("spans, names and curves, nothing else", set(kinds) == set("XMC"), kinds)
names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
check("threads have names of their own", len(set(names.values())) == len(names) >= 2, names)
check("the main thread has the process's number, none has 0",
      all((tid == e["pid"]) == (name == "main") and tid > 0 for e in events if e["ph"] == "X"
          for tid, name in [(e["tid"], names[e["tid"]])]), names)
ranks = {e["tid"]: e["args"]["sort_index"] for e in events if e["name"] == "thread_sort_index"}
check("main comes first", names[min(ranks, key=ranks.get)] == "main", ranks)
curves = {e["name"] for e in events if e["ph"] == "C"}
check("curves of images, memory and what is alive", len(curves) == 3, curves)
alive = [e["args"] for e in events if e["ph"] == "C" and e["name"].startswith("alive")]
check("nothing is alive when the last pass is over", alive and not any(alive[-1].values()), alive[-1:])

main = [e for e in events if e["ph"] == "X" and names[e["tid"]] == "main"]
stack, step, leaf, total = [], 0.0, 0.0, 0.0
for e in main:
    while stack and e["ts"] >= stack[-1]["ts"] + stack[-1]["dur"] - 0.0005:
        stack.pop()
    e["leaf"], e["self"] = True, e["dur"]
    if stack:
        stack[-1]["leaf"] = False
        stack[-1]["self"] -= e["dur"]
    e["root"] = stack[0] if stack else e
    stack.append(e)
for e in main:
    total += e["self"]
    step += e["dur"] if e["root"] is e and e["name"] == "step" else 0
    leaf += e["dur"] if e["leaf"] and e["root"]["name"] == "step" else 0
check(f"leaves are 98 % of the steps: {100 * leaf / step:.2f} %", leaf >= 0.98 * step)
number, unit = re.search(r"Self CPU time total: ([0-9.]+)(us|ms|s)\n", summary).groups()
said = float(number) * UNITS[unit]
check("self times add up to the summary's total",
      abs(total - said) <= 0.0005 * UNITS[unit] + 0.001 * len(main), (total, said))
check("no span has less time than what is in it", all(e["self"] > -0.01 for e in main))
for name, calls in LEAVES.items():
    found = sum(bool(e["leaf"] and re.fullmatch(name, e["name"])) for e in main)
    check(f"{calls} leaves of {name} a step", found == STEPS * calls, found)
check("every op says its shapes and costs",
      all({"Input Shapes", "FLOPs", "bytes"} <= e["args"].keys() for e in main if e["cat"] == "op"))
print(f"{len(main)} spans of the main thread, {failed} failed")
sys.exit(failed > 0)
