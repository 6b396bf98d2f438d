"""Writes the net as an ONNX file with a free batch size, for ONNX Runtime and OpenVINO."""
import json
import os

from rival import arguments, torch_net

a = arguments(__doc__)
torch, net, x = torch_net(a)
net.eval()
# Weights inside the file, and a name of its own until it is whole.
torch.onnx.export(net, (x,), a.model + ".new", input_names=["x"], output_names=["logits"], opset_version=17,
                  dynamic_axes={"x": {0: "n"}, "logits": {0: "n"}}, dynamo=False)
os.replace(a.model + ".new", a.model)
print(json.dumps({"model": a.model}))
