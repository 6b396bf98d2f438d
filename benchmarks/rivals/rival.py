"""What every rival's script shares: flags, the loop that times calls, the line of JSON at the end."""
import argparse
import json
import os
import resource
import statistics
import sys
import time


def arguments(description):
    ap = argparse.ArgumentParser(description=description)
    ap.add_argument("--stem", default="imagenet")
    ap.add_argument("--image-size", type=int, default=224)
    ap.add_argument("--num-classes", type=int, default=1000)
    ap.add_argument("--batch", type=int, default=1)
    ap.add_argument("--optimizer", choices=["sgd", "adamw"], default="sgd")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--warmup", type=int, default=2)
    ap.add_argument("--runs", type=int, default=10)
    ap.add_argument("--layout", choices=["contiguous", "channels_last"], default="channels_last")
    ap.add_argument("--compile", action="store_true")
    ap.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    ap.add_argument("--model", help="ONNX file")
    return ap.parse_args()


def torch_net(a):
    """(torch, the net in the asked layout, one batch of noise)."""
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "peers"))
    import torch
    from resnet import ResNet

    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    layout = getattr(torch, {"contiguous": "contiguous_format"}.get(a.layout, a.layout))
    net = ResNet("resnet18", a.stem, a.num_classes).to(memory_format=layout)
    x = torch.randn(a.batch, 3, a.image_size, a.image_size).contiguous(memory_format=layout)
    return torch, net, x


def report(a, call, version):
    """Times call(); the rate comes from the median call.  After 150 seconds three calls are enough: bf16 may be
    slow on a CPU that does not have it."""
    for _ in range(a.warmup):
        call()
    times = []
    while len(times) < a.runs and (sum(times) < 150 or len(times) < 3):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    median = statistics.median(times)
    print(json.dumps({"images_per_second": a.batch / median, "median_ms": 1e3 * median, "min_ms": 1e3 * min(times),
                      "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "version": version}))
