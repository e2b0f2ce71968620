"""Products of integers with ranges that were measured before, on calibration data: each number of a call by itself.

What a number is rounded to depends on that number alone, so streams may share a call and change nothing of each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from streamcell.export.builder import Builder
from streamcell.export.quantize.integers import FACTOR, to_int8
from streamcell.export.quantize.rewrite import MICROSOFT, Form, Site

__all__ = ["Ranges", "static_product"]

_MIDDLE, _LEVELS = 128, 127  # of what is rounded: unsigned


@dataclass(frozen=True, slots=True)
class Ranges:
    """Know how large numbers get, and append products of integers.

    Attributes:
        largest: Of each tensor, by name; what is larger is cut.
    """

    largest: Mapping[str, float]

    def knows(self, *names: str) -> bool:
        """Tell whether all of these were measured and are not zero throughout."""
        return all(self.largest.get(name, 0) > 0 for name in names)

    def product(
        self,
        builder: Builder,
        x: str,
        weight: NDArray[np.float32],
        output: str,
        *,
        like: str = "",
        shared: str = "",
        bias: NDArray[np.float32] | None = None,
    ) -> str:
        """Append ``x @ weight + bias`` in integers and return its name, ``output``.

        Args:
            builder: Takes the operators.
            x: Any shape `[..., K]`.
            weight: `[K, N]`.
            output: The name.
            like: The tensor whose range ``x`` has; itself where empty.
            shared: What the constants' names begin with, where several products have them in common.
            bias: `[N]`.
        """
        name, scale = shared or output, np.array(self.largest[like or x] / _LEVELS, np.float32)
        middle = builder.constant("middle", np.array(_MIDDLE, np.uint8))
        small = builder.constant(f"{name}/scale", scale)
        rounded = builder.apply("QuantizeLinear", x, small, middle, output=f"{output}/rounded")
        integers, scales = to_int8(weight, 0, FACTOR)
        parts = [builder.constant(f"{name}/integers", integers), small]
        parts += [builder.constant(f"{name}/scales", scales[0]), middle, ""]
        parts += [] if bias is None else [builder.constant(f"{name}/bias", bias)]
        return builder.apply("MatMulIntegerToFloat", rounded, *parts, output=output, domain=MICROSOFT)


def static_product(ranges: Ranges) -> Form:
    """Return what writes a `MatMul` with a constant matrix in integers."""

    def form(node: onnx.NodeProto, site: Site) -> bool:
        weight = site.weight(node, 1)
        if weight is None or weight.ndim != 2 or not ranges.knows(node.input[0]):
            return False
        ranges.product(site.builder, node.input[0], weight, node.output[0])
        return True

    return form
