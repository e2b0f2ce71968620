"""Language models of phones: n-grams, counted, written as ARPA files, and as tables for decoding."""

from streamcell.runtime.lm.arpa import read_arpa, write_arpa
from streamcell.runtime.lm.count import train_ngram
from streamcell.runtime.lm.ngram import NGram
from streamcell.runtime.lm.table import Table

__all__ = ["NGram", "Table", "read_arpa", "train_ngram", "write_arpa"]
