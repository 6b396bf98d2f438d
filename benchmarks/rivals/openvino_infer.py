"""Inference in OpenVINO on the CPU, in float32 (its default is bf16 where the CPU has it), one request at a time."""
from rival import arguments, report

a = arguments(__doc__)
import numpy
import openvino

core = openvino.Core()
model = core.read_model(a.model)
model.reshape([a.batch, 3, a.image_size, a.image_size])
compiled = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": a.threads, "NUM_STREAMS": 1,
                                             "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"})
request = compiled.create_infer_request()
x = numpy.random.default_rng(0).standard_normal((a.batch, 3, a.image_size, a.image_size), numpy.float32)
request.set_input_tensor(openvino.Tensor(x))
report(a, request.infer, openvino.__version__)
