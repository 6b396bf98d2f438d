"""Inference in PyTorch; compiled, the weights are frozen and batch norm is folded by the compiler.  bf16: the net and
its images are converted, which spares what autocast converts in every call."""
from rival import arguments, report, torch_net

a = arguments(__doc__)
torch, net, x = torch_net(a)
net.eval()
if a.precision == "bf16":
    net, x = net.bfloat16(), x.bfloat16()
if a.compile:
    import torch._inductor.config

    torch._inductor.config.freezing = True
    net = torch.compile(net)
with torch.inference_mode():
    report(a, lambda: net(x), torch.__version__)
