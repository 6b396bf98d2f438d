"""Inference in OpenVINO on the CPU, one request at a time.  Its precision is asked for, since its default is bf16 where
the CPU has it; bf16 on a CPU that has not is said and fails, for it would be float32 under another name."""
import sys

from rival import arguments, report

a = arguments(__doc__)
import numpy
import openvino

core = openvino.Core()
hint = {"fp32": "f32", "bf16": "bf16"}[a.precision]
if a.precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
    sys.exit("OpenVINO has no bf16 on this CPU")
model = core.read_model(a.model)
model.reshape([a.batch, 3, a.image_size, a.image_size])
compiled = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": a.threads, "NUM_STREAMS": 1,
                                             "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint})
request = compiled.create_infer_request()
x = numpy.random.default_rng(0).standard_normal((a.batch, 3, a.image_size, a.image_size), numpy.float32)
request.set_input_tensor(openvino.Tensor(x))
report(a, request.infer, openvino.__version__)
