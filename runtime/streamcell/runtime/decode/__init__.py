"""What the outputs of a model mean: frames of log-probabilities in, segments out."""

from streamcell.runtime.decode.ctc import GreedyCTC

__all__ = ["GreedyCTC"]
