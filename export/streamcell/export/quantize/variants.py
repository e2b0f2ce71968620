"""The ways to make a model smaller or faster, each a function of its graph."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import onnx

from streamcell.export.quantize.cells import static_cell
from streamcell.export.quantize.dynamic import dynamic_lstm, dynamic_product
from streamcell.export.quantize.rewrite import Form, rewrite
from streamcell.export.quantize.static import Ranges, static_product
from streamcell.export.quantize.storage import store_codes, store_int8

__all__ = ["METHODS", "Method"]

_Forms: TypeAlias = Callable[[Ranges, int], Mapping[str, Form]]


@dataclass(frozen=True, slots=True)
class Method:
    """Describe a way to quantise.

    Attributes:
        about: What becomes of the weights, in a few words.
        forms: Of the operators that it computes in integers, or None: it only stores integers.
        mixes: Whether ranges are measured in each call, so that what shares a call changes each other.
        store: Makes weights small that are left.
    """

    about: str
    forms: _Forms | None = None
    mixes: bool = False
    store: Callable[[onnx.ModelProto], onnx.ModelProto] = store_int8

    def apply(self, model: onnx.ModelProto, ranges: Ranges, steps: int) -> onnx.ModelProto | None:
        """Return another graph of the same inputs, states and outputs, None if the method changes nothing here.

        Args:
            model: A graph of floats.
            ranges: Of what goes into its products.
            steps: Of a call, where that must be fixed.
        """
        if self.forms is None:
            made = self.store(model)
            return None if len(made.graph.node) == len(model.graph.node) else made
        made = rewrite(model, self.forms(ranges, steps))
        return None if made is model else self.store(made)


METHODS: Mapping[str, Method] = {
    "weights-8": Method("stored in 8 bits, computed in float"),
    "weights-4": Method("stored in 4 bits, computed in float", store=store_codes),
    "dynamic-lstm": Method(
        "LSTM in integers, ranges from each call", lambda _ranges, _steps: {"LSTM": dynamic_lstm}, mixes=True
    ),
    "dynamic": Method(
        "LSTM and products in integers, ranges from each call",
        lambda _ranges, _steps: {"LSTM": dynamic_lstm, "MatMul": dynamic_product},
        mixes=True,
    ),
    "static-cells": Method(
        "LSTM and GRU in integers, ranges from the data",
        lambda ranges, steps: dict.fromkeys(("LSTM", "GRU"), static_cell(ranges, steps)),
    ),
    "static": Method(
        "LSTM, GRU and products in integers, ranges from the data",
        lambda ranges, steps: {
            **dict.fromkeys(("LSTM", "GRU"), static_cell(ranges, steps)),
            "MatMul": static_product(ranges),
        },
    ),
}
"""By name, the least far-reaching first."""
