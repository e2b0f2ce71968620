"""From phones to words: a closed vocabulary, and phrases in running speech."""

from streamcell.runtime.words.lexicon import Dictionary, Entry, Lexicon, read_dictionary
from streamcell.runtime.words.spotter import Spotter
from streamcell.runtime.words.threshold import threshold_for
from streamcell.runtime.words.word_decoder import WordDecoder

__all__ = [
    "Dictionary",
    "Entry",
    "Lexicon",
    "Spotter",
    "WordDecoder",
    "read_dictionary",
    "threshold_for",
]
