#!/usr/bin/env python3
"""./bench beside the programs people would use instead, as ratios of images a second.

  make bench-peers [CASES=train,infer-224-b1] [THREADS=1,2] [NUMERICS=fp32] [ROUNDS=3] [RIVALS=...]

A round runs every program of a case once, each in a process of its own, ours and the rivals in turn first,
so that what else the machine does falls on all; what counts is the ratio within a round, and its median over the
rounds.  All get the same net, batch, optimiser and thread count, synthetic data in memory, and calls to warm
up that are not counted.  bf16 is held against rivals in bf16, the others against rivals in float32; a CPU
without a bf16 unit runs these cases too, only slowly, but for OpenVINO, which then has no bf16.  Rivals run in
build/peers (`make peers`); a rival that fails is said and left out.
Tables go to build/bench/peers.md and .csv, every single measurement to build/bench/peers-rounds.csv.
"""
import argparse
import os
import statistics
import sys

from common import CASES, ROOT, Table, add_arguments, cases, machine, ours, run_json, words, write_text

# glibc maps and unmaps every large block by default; page faults then cost PyTorch a good part of a step.
TUNED = {"MALLOC_MMAP_THRESHOLD_": str(16 << 30), "MALLOC_TRIM_THRESHOLD_": str(64 << 30),
         "MALLOC_TOP_PAD_": str(64 << 20), "THP_MEM_ALLOC_ENABLE": "1"}

FP32, BOTH = ("fp32",), ("fp32", "bf16")
RIVALS = {  # name: modes, precisions, script, its flags, environment
    "torch": (("train",), FP32, "torch_train.py", ["--layout", "contiguous"], {}),
    "torch-nhwc": (("train", "infer"), FP32, "torch_{mode}.py", ["--layout", "channels_last"], {}),
    "torch-tuned": (("train",), FP32, "torch_train.py", ["--layout", "contiguous"], TUNED),
    "torch-nhwc-tuned": (("train", "infer"), BOTH, "torch_{mode}.py", ["--layout", "channels_last"], TUNED),
    "torch-compile": (("train", "infer"), BOTH, "torch_{mode}.py", ["--layout", "channels_last", "--compile"], TUNED),
    "onnxruntime": (("infer",), FP32, "onnxruntime_infer.py", [], {}),
    "openvino": (("infer",), BOTH, "openvino_infer.py", [], {}),
}
ONEDNN = {"avx512": "AVX512_CORE_BF16", "amx": "AVX512_CORE_AMX"}  # its names of --isa, where they differ


def precision(numerics):
    return "bf16" if numerics.startswith("bf16") else "fp32"


def rivals_of(case, names, numerics):
    """{label: (name, precision)} of the rivals of a case, in the precisions of our numerics."""
    return {r if p == "fp32" else f"{r} {p}": (r, p) for p in dict.fromkeys(map(precision, numerics)) for r in names
            if CASES[case].mode in RIVALS[r][0] and p in RIVALS[r][1]}


def rival(a, name, prec, case, threads):
    c = CASES[case]
    _, _, script, flags, env = RIVALS[name]
    if script.startswith(("onnx", "openvino")):
        flags = flags + ["--model", model(a, c)]
    env = dict(env, TORCHINDUCTOR_CACHE_DIR=os.path.abspath("build/peers/cache"))
    if a.isa:
        env["ONEDNN_MAX_CPU_ISA"] = ONEDNN.get(a.isa, a.isa.upper())
    command = [a.python, os.path.join(ROOT, "benchmarks", "rivals", script.format(mode=c.mode)), *c.flags(), "--batch",
               str(c.batch), "--optimizer", c.optimizer, "--threads", str(threads), "--warmup", str(c.warmup), "--runs",
               str(a.runs or c.runs), "--precision", prec] + flags
    return run_json(command, threads, env)


def model(a, c):
    """The net as an ONNX file, made once."""
    path = os.path.join("build/peers/models", f"resnet18_{c.stem}_{c.size}_{c.classes}.onnx")
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        run_json([a.python, os.path.join(ROOT, "benchmarks", "rivals", "export_onnx.py"), *c.flags(), "--model", path], 2)
    return path


def measure(a, case, threads, theirs, rounds):
    """({numerics: [row of each round]}, {rival: [...]}); a program that failed once is gone."""
    mine = words(a.numerics)
    order = mine + list(theirs)
    rows = {p: [] for p in order}
    for i in range(a.rounds):
        for p in order if i % 2 == 0 else order[::-1]:
            if p not in rows:
                continue
            r = ours(a, case, p, threads) if p in mine else rival(a, *theirs[p], case, threads)
            if not r:
                del rows[p]
                continue
            rows[p].append(r)
            rounds.add(case, threads, i + 1, p, f"{r['images_per_second']:.2f}", f"{r['median_ms']:.3f}",
                       f"{r['peak_rss_mb']:.0f}")
    return {n: rows.pop(n) for n in mine if n in rows}, rows


def rate(rows):
    return statistics.median(r["images_per_second"] for r in rows)


def memory(rows):
    return statistics.median(r["peak_rss_mb"] for r in rows)


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_arguments(ap)
    ap.add_argument("--rivals", default="", help="list of " + ", ".join(RIVALS) + "; default: all that fit the case")
    ap.add_argument("--python", default="build/peers/bin/python", help="the one that has the rivals")
    ap.add_argument("--at-least", type=float, help="fail if a median ratio against the best rival is below")
    a = ap.parse_args()
    for r in words(a.rivals):
        if r not in RIVALS:
            sys.exit(f"--rivals {r}: not one of {', '.join(RIVALS)}")
    if not os.path.exists(a.python):
        sys.exit(f"{a.python} is not there: make peers")
    before, bad = f"{machine()}; rounds: {a.rounds}; * is the best rival of its case and precision\n", False
    table = Table("case", "threads", "ours", "images/s", "MB", "rival", "images/s", "MB", "ratio", "from", "to")
    rounds = Table("case", "threads", "round", "program", "images/s", "ms", "peak MB")
    for case in cases(a.cases):
        before += f"- {case}: {CASES[case].describe()}\n"
        print(f"\n{CASES[case].describe()}")
        asked = rivals_of(case, words(a.rivals) if a.rivals else list(RIVALS), words(a.numerics))
        for threads in map(int, words(a.threads)):
            rounds.head()
            mine, rivals = measure(a, case, threads, asked, rounds)
            bad |= len(mine) < len(words(a.numerics))
            table.head()
            for n, own in mine.items():
                same = {r: rows for r, rows in rivals.items() if asked[r][1] == precision(n)}
                best = max(same, key=lambda r: rate(same[r]), default=None)
                if not best:
                    tried = any(p == precision(n) for _, p in asked.values())
                    print(f"{n}: {'every rival failed' if tried else 'none of the rivals has ' + precision(n)}")
                    bad |= tried
                for r, theirs in same.items():
                    ratio = [x["images_per_second"] / y["images_per_second"] for x, y in zip(own, theirs)]
                    table.add(case, threads, n, f"{rate(own):.1f}", f"{memory(own):.0f}", r + ("*" if r == best else ""),
                              f"{rate(theirs):.1f}", f"{memory(theirs):.0f}", f"{statistics.median(ratio):.3f}",
                              f"{min(ratio):.3f}", f"{max(ratio):.3f}")
                    bad |= r == best and a.at_least is not None and not statistics.median(ratio) >= a.at_least
            write_text(a.out, "peers.md", before + "\n" + table.markdown())
            table.write_csv(a.out, "peers.csv")
            rounds.write_csv(a.out, "peers-rounds.csv")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
