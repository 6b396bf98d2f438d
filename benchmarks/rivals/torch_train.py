"""Training steps of PyTorch: forward, loss, backward, update; bf16 is autocast, over forward and loss."""
from rival import arguments, report, torch_net

a = arguments(__doc__)
torch, net, x = torch_net(a)
net.train()
labels = torch.randint(0, a.num_classes, (a.batch,))
if a.optimizer == "sgd":
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)
else:
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.01)
forward = torch.compile(net) if a.compile else net


def step():
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=a.precision == "bf16"):
        loss = torch.nn.functional.cross_entropy(forward(x), labels)
    loss.backward()
    optimizer.step()


report(a, step, torch.__version__)
