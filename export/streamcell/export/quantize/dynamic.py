"""Products of integers whose ranges are measured in each call: ONNX Runtime's own kernels.

The range of a call's numbers is that of all its steps and streams, so that answers depend on what shares a call: such a
file takes a fixed number of steps, and one stream.
"""

import numpy as np
import onnx

from streamcell.export.quantize.integers import FACTOR, to_int8
from streamcell.export.quantize.rewrite import MICROSOFT, Site

__all__ = ["dynamic_lstm", "dynamic_product"]


def dynamic_lstm(node: onnx.NodeProto, site: Site) -> bool:
    """Make an `LSTM` a `DynamicQuantizeLSTM`."""
    weights = [site.weight(node, place) for place in (1, 2)]
    attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    if any(weight is None for weight in weights) or attributes.pop("layout", 0):
        return False
    inputs = [*node.input, *[""] * (8 - len(node.input))]
    for place, weight in enumerate(weights, 1):
        assert weight is not None
        integers, scales = to_int8(weight, 2, FACTOR)  # [directions, gates, in]
        name = node.input[place]
        inputs[place] = site.builder.constant(f"{name}/integers", integers.transpose(0, 2, 1))
        inputs += [
            site.builder.constant(f"{name}/scales", scales[..., 0]),
            site.builder.constant(f"{name}/middle", np.zeros(scales.shape[:2], np.int8)),
        ]
    site.builder.node("DynamicQuantizeLSTM", inputs, node.output, domain=MICROSOFT, **attributes)
    return True


def dynamic_product(node: onnx.NodeProto, site: Site) -> bool:
    """Make a `MatMul` with a constant matrix a `DynamicQuantizeMatMul`."""
    weight = site.weight(node, 1)
    if weight is None or weight.ndim != 2:
        return False
    name, (integers, scales) = node.input[1], to_int8(weight, 0, FACTOR)
    small = site.builder.constant(f"{name}/integers", integers)
    parts = [
        site.builder.constant(f"{name}/scales", scales[0]),
        site.builder.constant(f"{name}/middle", np.zeros(len(scales[0]), np.int8)),
    ]
    site.builder.node("DynamicQuantizeMatMul", [node.input[0], small, *parts], node.output, domain=MICROSOFT)
    return True
