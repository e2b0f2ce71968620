# ruff: noqa: RUF001 - IPA letters are meant to look like Latin ones
import pytest

from streamcell.runtime.errors import InputError
from streamcell.runtime.phones import ARPABET, IPA, SILENCE, check_arpabet, to_ipa


def test_there_are_39_phones_each_with_its_own_ipa() -> None:
    assert len(ARPABET) == 39
    assert len(set(IPA.values())) == 39
    assert list(ARPABET) == sorted(ARPABET)


def test_silence_stays() -> None:
    assert to_ipa(SILENCE) == "SIL"


@pytest.mark.parametrize(("label", "ipa"), [("AY", "aɪ"), ("JH", "dʒ"), ("G", "\u0261"), ("R", "ɹ"), ("ER", "ɝ")])
def test_known_phones(label: str, ipa: str) -> None:
    assert to_ipa(label) == ipa


@pytest.mark.parametrize("label", ["AH0", "aa", "", "<blank>"])
def test_a_stranger_is_an_error_that_names_it(label: str) -> None:
    with pytest.raises(InputError, match=f"got '{label}'"):
        to_ipa(label)


def test_labels_are_checked_before_the_work() -> None:
    check_arpabet((*ARPABET, SILENCE))
    with pytest.raises(InputError, match="also gives walking, running"):
        check_arpabet(["AA", "walking", "running"])
