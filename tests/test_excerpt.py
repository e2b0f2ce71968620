"""The beginning of a recording."""

import numpy as np
import pytest
import soundfile

from helpers import SAMPLES
from streamcell.runtime.errors import SourceError
from streamcell.runtime.sources import read_excerpt


def test_it_is_the_beginning_and_no_more_than_there_is() -> None:
    samples, _ = soundfile.read(SAMPLES / "reader.flac", dtype="float32")
    assert np.array_equal(read_excerpt(SAMPLES / "reader.flac", 16000, 1.0), samples[:16000])
    assert np.array_equal(read_excerpt(SAMPLES / "reader.flac", 16000, 60.0), samples)


def test_it_comes_at_the_rate_asked_for() -> None:
    assert abs(len(read_excerpt(SAMPLES / "reader.flac", 8000, 60.0)) - 56560 / 2) <= 1


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(SourceError, match=r"no such file: .*none\.wav"):
        read_excerpt("none.wav", 16000)
