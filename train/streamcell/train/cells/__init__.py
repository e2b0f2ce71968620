"""Stateful layers: functions `y, state = layer(x, state)`; nothing is kept on a module between calls."""

from streamcell.train.cells.convolution import CausalConv
from streamcell.train.cells.elman import Elman, ReluElman, SigmoidElman
from streamcell.train.cells.gru import GRU, ResetBeforeGRU
from streamcell.train.cells.lstm import LSTM, ProjectedLSTM
from streamcell.train.cells.stack import CELLS, Cell, Stack, StackOptions, cell_of_each

__all__ = [
    "CELLS",
    "GRU",
    "LSTM",
    "CausalConv",
    "Cell",
    "Elman",
    "ProjectedLSTM",
    "ReluElman",
    "ResetBeforeGRU",
    "SigmoidElman",
    "Stack",
    "StackOptions",
    "cell_of_each",
]
