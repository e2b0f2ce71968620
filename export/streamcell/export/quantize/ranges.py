"""How large numbers get inside a model, measured on calibration data."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper

from streamcell.export.quantize.rewrite import rounded_of
from streamcell.export.quantize.static import Ranges
from streamcell.runtime.manifest import Manifest
from streamcell.runtime.model import Model

__all__ = ["measure_ranges"]

_STEPS = 64  # a call


def measure_ranges(model: onnx.ModelProto, heard: Sequence[NDArray[Any]]) -> Ranges:
    """Run a model over streams and return how large what is to be rounded gets.

    Args:
        model: With its manifest.
        heard: Each one stream as the model takes it, without the axis of the batch, of any length.
    """
    names = rounded_of(model)
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    opened = Model.open(model.SerializeToString())
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    largest = dict.fromkeys(names, 0.0)
    for x in heard:
        for values in _answers(session, opened, names, x):
            largest = {name: max(most, float(np.abs(values[name]).max())) for name, most in largest.items()}
    return Ranges(largest)


def _answers(
    session: ort.InferenceSession, model: Model, names: Sequence[str], x: NDArray[Any]
) -> Iterator[Mapping[str, NDArray[Any]]]:
    """Yield the values of tensors in each call over one stream, the state carried."""
    manifest = model.manifest
    states = {spec.input: value for spec, value in zip(manifest.states, _initial(model, manifest), strict=True)}
    unit = manifest.input.samples_per_step * (manifest.steps_per_call or 1)
    size = unit if manifest.steps_per_call else unit * _STEPS
    x = x[: len(x) // unit * unit]
    for begin in range(0, len(x), size):
        wanted = [*(spec.output for spec in manifest.states), *names]
        given = session.run(wanted, {manifest.input.name: x[None, begin : begin + size], **states})
        states = {spec.input: value for spec, value in zip(manifest.states, given, strict=False)}
        yield dict(zip(names, given[len(states) :], strict=True))


def _initial(model: Model, manifest: Manifest) -> list[NDArray[Any]]:
    state = model.initial_state(1)
    return [state[spec.input] for spec in manifest.states]
