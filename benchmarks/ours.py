#!/usr/bin/env python3
"""Speed of ./bench alone: every case, per numerics and number of threads.

  make bench [CASES=train,infer-224-b1] [THREADS=1,2] [NUMERICS=fp32] [ROUNDS=3]

Each figure is a process of its own; with several rounds the median of the rounds.  The share is of the
fused multiply-add peak that ./bench measures at its end, FLOPs counted as direct convolution with padding:
Winograd does fewer, so its share may pass 100 %; tile units have another peak, so with them there is no share.
bf16 is there on every CPU.  Tables go to build/bench/ours.md and .csv as well.
"""
import argparse
import statistics
import sys

from common import CASES, Table, add_arguments, cases, machine, ours, run, words, write_text


def middle(rows, key):
    return statistics.median(r[key] for r in rows)


def measure(a, table, name):
    """Rows of one case; False where a process failed."""
    whole = True
    for threads in map(int, words(a.threads)):
        for numerics in words(a.numerics):
            rows = [r for r in (ours(a, name, numerics, threads) for _ in range(a.rounds)) if r]
            whole &= len(rows) == a.rounds
            if not rows:
                continue
            gflops, peak = middle(rows, "gflops"), middle(rows, "peak_gflops_measured")
            table.add(name, threads, numerics, f"{middle(rows, 'images_per_second'):.1f}",
                      f"{middle(rows, 'median_ms'):.2f}", f"{gflops:.1f}", f"{100 * gflops / peak:.0f} %" if peak else "-",
                      f"{middle(rows, 'peak_rss_mb'):.0f}")
    return whole


def layers(a, name):
    """The text of the layers' table, for every numerics, with the most threads asked for; bf16 beside fp32."""
    c, threads, text = CASES[name], max(map(int, words(a.threads))), ""
    for numerics in words(a.numerics):
        command = [a.layers, *c.flags(), "--batch-size", str(c.batch), "--threads", str(threads), "--numerics", numerics]
        command += ["--beside", "fp32"] if numerics == "bf16" else []
        command += (["--isa", a.isa] if a.isa else []) + (["--pass", "forward"] if c.mode == "infer" else [])
        text += f"{name}, {numerics}\n{run(command, threads) or 'failed'}\n"
    print("\n" + text, end="", flush=True)
    return text


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_arguments(ap)
    ap.add_argument("--layers", help="the program of benchmarks/layers.c; not given: no table of layers")
    ap.set_defaults(rounds=1)
    a = ap.parse_args()
    table = Table("case", "threads", "numerics", "images/s", "ms", "GFLOP/s", "of peak", "peak MB")
    before, by_layer, whole = f"{machine()}; rounds: {a.rounds}\n", "", True
    print(before, end="")
    for name in cases(a.cases):
        print(f"\n{CASES[name].describe()}")
        before += f"- {name}: {CASES[name].describe()}\n"
        table.head()
        whole &= measure(a, table, name)
        if a.layers and (CASES[name].mode == "train" or CASES[name].batch == 1):
            by_layer += layers(a, name)
        write_text(a.out, "ours.md", before + "\n" + table.markdown() + (f"\n```\n{by_layer}```\n" if by_layer else ""))
        table.write_csv(a.out, "ours.csv")
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
