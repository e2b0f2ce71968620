"""Every error of ours is a StreamcellError, and survives a process boundary."""

import pickle

import pytest

from streamcell.runtime.errors import InputError, MissingExtraError, ModelError, SourceError, StreamcellError


@pytest.mark.parametrize("kind", [InputError, ModelError, SourceError])
def test_one_base(kind: type[StreamcellError]) -> None:
    assert issubclass(kind, StreamcellError)
    assert str(kind("what came")) == "what came"


def test_missing_extra_names_the_install_command_even_when_pickled() -> None:
    error = MissingExtraError("soxr", "audio", "to convert sample rates")
    for found in (error, pickle.loads(pickle.dumps(error))):
        assert isinstance(found, StreamcellError)
        assert "pip install 'streamcell[audio]'" in str(found)
        assert str(found).startswith("soxr is needed to convert sample rates")
