"""What the outputs of a model mean: frames in, segments out."""

from streamcell.runtime.decode.beam import BeamCTC
from streamcell.runtime.decode.ctc import GreedyCTC
from streamcell.runtime.decode.decoder import Decoder
from streamcell.runtime.decode.endpointer import Endpointer
from streamcell.runtime.decode.hysteresis import Hysteresis
from streamcell.runtime.decode.make import labels_of, make_decoder, make_endpointer
from streamcell.runtime.decode.smoothed import Smoothed
from streamcell.runtime.decode.splitter import Splitter
from streamcell.runtime.decode.whole import Whole

__all__ = [
    "BeamCTC",
    "Decoder",
    "Endpointer",
    "GreedyCTC",
    "Hysteresis",
    "Smoothed",
    "Splitter",
    "Whole",
    "labels_of",
    "make_decoder",
    "make_endpointer",
]
