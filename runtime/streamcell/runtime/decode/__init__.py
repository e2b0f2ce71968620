"""What the outputs of a model mean: frames in, segments out."""

from streamcell.runtime.decode.beam import BeamCTC
from streamcell.runtime.decode.ctc import GreedyCTC
from streamcell.runtime.decode.decoder import Decoder
from streamcell.runtime.decode.hysteresis import Hysteresis
from streamcell.runtime.decode.make import make_decoder
from streamcell.runtime.decode.smoothed import Smoothed
from streamcell.runtime.decode.splitter import Splitter

__all__ = ["BeamCTC", "Decoder", "GreedyCTC", "Hysteresis", "Smoothed", "Splitter", "make_decoder"]
