"""Inference in ONNX Runtime, CPU provider, all graph optimisations."""
from rival import arguments, report

a = arguments(__doc__)
import numpy
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = a.threads
options.inter_op_num_threads = 1
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
session = onnxruntime.InferenceSession(a.model, options, providers=["CPUExecutionProvider"])
x = numpy.random.default_rng(0).standard_normal((a.batch, 3, a.image_size, a.image_size), numpy.float32)
report(a, lambda: session.run(None, {"x": x}), onnxruntime.__version__)
