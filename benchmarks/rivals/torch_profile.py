"""Training steps of PyTorch under torch.profiler: calls and self time by the ops around them, outermost first; JSON."""
import json
import time

from rival import arguments, torch_net

a = arguments(__doc__)
torch, net, x = torch_net(a)
net.train()
labels = torch.randint(0, a.num_classes, (a.batch,))
optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4, fused=True)


def step():
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=a.precision == "bf16"):
        loss = torch.nn.functional.cross_entropy(net(x), labels)
    loss.backward()
    optimizer.step()


for _ in range(a.warmup):
    step()
begin = time.perf_counter()
for _ in range(a.runs):
    step()
plain = (time.perf_counter() - begin) / a.runs
with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
    begin = time.perf_counter()
    for _ in range(a.runs):
        step()
    seconds = time.perf_counter() - begin
ops = {}
for e in profile.events():
    at, path = e, []
    while at is not None:
        path.insert(0, at.name)
        at = at.cpu_parent
    op = ops.setdefault(tuple(path), [0, 0.0])
    op[0] += 1 / a.runs
    op[1] += e.self_cpu_time_total / 1e3 / a.runs
print(json.dumps({"step_ms": 1e3 * seconds / a.runs, "plain_ms": 1e3 * plain, "version": torch.__version__,
                  "ops": [{"path": path, "calls": calls, "self_ms": ms} for path, (calls, ms) in ops.items()]}))
