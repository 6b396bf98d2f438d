"""Training steps of PyTorch on a GPU: FP32 proper, TF32 off, or --amp; the batch on the device, one line of JSON."""
import argparse
import json
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "peers"))
import torch  # noqa: E402
from resnet import ResNet  # noqa: E402

ap = argparse.ArgumentParser(description=__doc__)
ap.add_argument("--stem", default="imagenet")
ap.add_argument("--batch", type=int, default=64)
ap.add_argument("--runs", type=int, default=50)
ap.add_argument("--amp", action="store_true", help="autocast to fp16, GradScaler, channels_last")
ap.add_argument("--check", action="store_true", help="only say whether PyTorch sees a GPU")
a = ap.parse_args()
if not torch.cuda.is_available():
    sys.exit("PyTorch %s sees no GPU" % torch.__version__)
if a.check:
    print(torch.__version__)
    sys.exit()
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False
torch.backends.cudnn.benchmark = True
net = ResNet("resnet18", a.stem, 10).cuda()
net.train()
x = torch.randn(a.batch, 3, 32, 32, device="cuda")
labels = torch.randint(0, 10, (a.batch,), device="cuda")
scaler = torch.amp.GradScaler("cuda", enabled=a.amp)
if a.amp:
    net = net.to(memory_format=torch.channels_last)
    x = x.to(memory_format=torch.channels_last)
optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)
times = []
for i in range(a.runs + 10):
    torch.cuda.synchronize()
    begin = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cuda", torch.float16, enabled=a.amp):
        loss = torch.nn.functional.cross_entropy(net(x), labels)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    loss.item()  # ours reads the loss of each step, too
    torch.cuda.synchronize()
    if i >= 10:
        times.append(time.perf_counter() - begin)
print(json.dumps({"images_per_second": a.batch / statistics.median(times), "version": torch.__version__}))
