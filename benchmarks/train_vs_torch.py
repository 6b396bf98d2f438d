#!/usr/bin/env python3
"""Training speed of ./bench and of PyTorch in eager mode, side by side.

  python3 benchmarks/train_vs_torch.py [--case cifar|stock32|224] [--threads 1,2] [--rounds 3]

Run from the project's root after `make` and `make peers`.  A round is one process of each program, one
after the other and in turn first, so that what else the machine does falls on both; what counts is the
ratio within a round, and its median over the rounds.  Both get synthetic data in memory, the same net,
batch, optimiser and thread count, and calls to warm up that are not counted.  PyTorch runs in its default
memory layout and in channels_last, with glibc told to keep freed memory: the faster of the two is the
rival.  Standard library only; PyTorch itself runs in build/peers.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

CASES = {  # stem, image size, classes, batch, optimiser
    "cifar": ("cifar", 32, 10, 128, "sgd"),
    "stock32": ("imagenet", 32, 10, 128, "sgd"),
    "224": ("imagenet", 224, 2, 32, "adamw"),
}
# glibc maps and unmaps every large block by default; page faults would cost PyTorch a good part of a step.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(16 << 30), "MALLOC_TRIM_THRESHOLD_": str(64 << 30),
          "MALLOC_TOP_PAD_": str(64 << 20), "THP_MEM_ALLOC_ENABLE": "1"}


def arguments():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--case", choices=CASES, default="cifar")
    ap.add_argument("--batch", type=int, help="instead of the case's")
    ap.add_argument("--threads", default="1,2", help="list of thread counts")
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--steps", type=int, default=8)
    ap.add_argument("--warmup", type=int, default=2)
    ap.add_argument("--numerics", default="fp32")
    ap.add_argument("--python", default="build/peers/bin/python", help="the one that has PyTorch")
    ap.add_argument("--at-least", type=float, help="fail if a median ratio is below")
    ap.add_argument("--torch", metavar="LAYOUT", help=argparse.SUPPRESS)
    return ap.parse_args()


# -- PyTorch, in a process of its own ----------------------------------------------------------------


def torch_process(a):
    """Times steps in this process and prints one JSON line."""
    import resource
    import time

    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "peers"))
    import torch
    from resnet import ResNet

    stem, size, classes, batch, optimizer = CASES[a.case]
    batch = a.batch or batch
    torch.set_num_threads(int(a.threads))
    torch.manual_seed(0)
    layout = torch.channels_last if a.torch == "channels_last" else torch.contiguous_format
    model = ResNet("resnet18", stem, classes).train().to(memory_format=layout)
    x = torch.randn(batch, 3, size, size).contiguous(memory_format=layout)
    y = torch.randint(0, classes, (batch,))
    if optimizer == "sgd":
        opt = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)
    else:
        opt = torch.optim.AdamW(model.parameters(), lr=1e-3)
    times = []
    for _ in range(a.warmup + a.steps):
        begin = time.perf_counter()
        opt.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(x), y).backward()
        opt.step()
        times.append(time.perf_counter() - begin)
    median = statistics.median(times[a.warmup:])
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"images_per_second": batch / median, "peak_rss_mb": rss, "version": torch.__version__}))


def run(command, threads, **env):
    env = dict(os.environ, OMP_NUM_THREADS=str(threads), **env)
    r = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=1800)
    if r.returncode:
        sys.exit(f"{' '.join(command)}: exit {r.returncode}")
    return json.loads(r.stdout)


def rival(a, threads):
    """The faster of two layouts."""
    best = None
    for layout in ("contiguous", "channels_last"):
        command = [a.python, __file__, "--torch", layout, "--case", a.case, "--threads", str(threads), "--steps",
                   str(a.steps), "--warmup", str(a.warmup)] + (["--batch", str(a.batch)] if a.batch else [])
        row = dict(run(command, threads, **MALLOC), layout=layout)
        if not best or row["images_per_second"] > best["images_per_second"]:
            best = row
    return best


def ours(a, threads, **env):
    stem, size, classes, batch, optimizer = CASES[a.case]
    command = ["./bench", "--mode", "train", "--arch", "resnet18", "--stem", stem, "--image-size", str(size),
               "--num-classes", str(classes), "--batch-sizes", str(a.batch or batch), "--opt", optimizer, "--threads",
               str(threads), "--numerics", a.numerics, "--data-free", "--warmup", str(a.warmup), "--runs", str(a.steps),
               "--json"]
    return run(command, threads, **env)["results"][0]


def main():
    a = arguments()
    if a.torch:
        return torch_process(a)
    if not os.path.exists(a.python):
        sys.exit(f"{a.python} is not there: make peers")
    stem, size, classes, batch, optimizer = CASES[a.case]
    print(f"ResNet-18, {stem} stem, {size}x{size}, {classes} classes, batch {a.batch or batch}, {optimizer}, "
          f"{a.numerics} against PyTorch float32 eager; images/s, and peak MB in brackets")
    print(f"{'threads':>7} {'round':>6} {'ours':>18} {'PyTorch':>18} {'ratio':>7}")
    low, rates = False, {}
    for threads in map(int, a.threads.split(",")):
        rows = []
        for i in range(a.rounds):
            if i % 2:
                r, o = rival(a, threads), ours(a, threads)
            else:
                o, r = ours(a, threads), rival(a, threads)
            rows.append((o["images_per_second"], r["images_per_second"]))
            print(f"{threads:7} {i + 1:6} {rows[-1][0]:10.1f} ({o['peak_rss_mb']:5.0f}) {rows[-1][1]:10.1f} "
                  f"({r['peak_rss_mb']:5.0f}) {rows[-1][0] / rows[-1][1]:7.3f}  {r['layout']}", flush=True)
        ratio = statistics.median(x / y for x, y in rows)
        print(f"{threads:7} {'median':>6} {statistics.median(x for x, _ in rows):10.1f} {'':7} "
              f"{statistics.median(y for _, y in rows):10.1f} {'':7} {ratio:7.3f}", flush=True)
        plain = ours(a, threads, RESNET_CONV="im2col")
        print(f"{threads:7} {'im2col':>6} {plain['images_per_second']:10.1f} ({plain['peak_rss_mb']:5.0f})  the whole "
              f"matrix gathered first, one run", flush=True)
        rates[threads] = statistics.median(x for x, _ in rows)
        low |= bool(a.at_least) and not ratio >= a.at_least
    for threads in rates:
        if threads > 1 and 1 in rates:
            print(f"{threads} threads: {rates[threads] / rates[1]:.2f} times one thread")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
