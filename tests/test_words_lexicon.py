import re
from pathlib import Path

import pytest

from streamcell.runtime.errors import InputError
from streamcell.runtime.words import Dictionary, Lexicon, read_dictionary

TEXT = """;;; a comment
LIGHT  L AY1 T
on AA1 N # a comment
on(2) AO1 N
the DH AH0
the(2) DH IY0
the(3) DH AH1
turn T ER1 N
"""


@pytest.fixture
def dictionary(tmp_path: Path) -> Dictionary:
    path = tmp_path / "small.dict"
    path.write_text(TEXT, encoding="utf-8")
    return read_dictionary(path)


def test_a_dictionary_of_cmu_has_variants_without_stress(dictionary: Dictionary) -> None:
    assert dictionary == {
        "light": (("L", "AY", "T"),),
        "on": (("AA", "N"), ("AO", "N")),
        "the": (("DH", "AH"), ("DH", "IY")),
        "turn": (("T", "ER", "N"),),
    }


def test_a_phrase_has_every_choice_of_its_words_pronunciations(dictionary: Dictionary) -> None:
    (entry,) = Lexicon.of(["Turn  on, the light"], dictionary).entries
    assert entry.text == "Turn on, the light"
    assert len(entry.ways) == 4
    assert (("T", "ER", "N"), ("AO", "N"), ("DH", "IY"), ("L", "AY", "T")) in entry.ways


def test_phones_in_slashes_stand_in_a_words_place(dictionary: Dictionary) -> None:
    (entry,) = Lexicon.of(["turn /aa1 n/ /DH AH/"], dictionary).entries
    assert entry.ways == ((("T", "ER", "N"), ("AA", "N"), ("DH", "AH")),)
    assert Lexicon.of(["/T ER N/"]).entries[0].ways == ((("T", "ER", "N"),),)


def test_a_file_has_words_with_and_without_phones(dictionary: Dictionary, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text(
        "light\n\n# orders\nzorp\tZ AO1 R P\nturn on  # two words\nzorp\tZ AA R P\nlight\n", encoding="utf-8"
    )
    lexicon = Lexicon.read(path, dictionary)
    assert [entry.text for entry in lexicon.entries] == ["light", "zorp", "turn on"]
    assert lexicon.entries[1].ways == ((("Z", "AO", "R", "P"),), (("Z", "AA", "R", "P"),))
    assert len(lexicon.entries[2].ways) == 2
    path.write_text("zorp\tZ AO R P\n", encoding="utf-8")
    assert len(Lexicon.read(path).entries) == 1  # no dictionary is needed


def test_a_file_may_look_like_a_dictionary(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text(
        "TURN  T ER1 N\n  read  R IY D\nread(2)   R EH D # past\nturn on  T ER N | AA N\n", encoding="utf-8"
    )
    lexicon = Lexicon.read(path)
    assert [entry.text for entry in lexicon.entries] == ["TURN", "read", "turn on"]
    assert lexicon.entries[1].ways == ((("R", "IY", "D"),), (("R", "EH", "D"),))
    assert lexicon.entries[2].ways == ((("T", "ER", "N"), ("AA", "N")),)


def test_a_lexicon_as_text_is_the_same(dictionary: Dictionary) -> None:
    lexicon = Lexicon.of(["turn on the light", "on", "/DH AH/ light"], dictionary)
    assert Lexicon.parse(lexicon.to_text()) == lexicon
    assert lexicon.to_text().count("\n") == 4 + 2 + 1
    with pytest.raises(InputError, match="the lexicon, line 1: no pronunciation of 'turn' is known; give a dictionary"):
        Lexicon.parse("turn\n")


def test_all_words_that_are_not_known_are_named_with_what_is_near(dictionary: Dictionary, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("lihgt\nturn\nxylophone\nthe lihgt\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        Lexicon.read(path, dictionary)
    assert str(caught.value).splitlines() == [
        "no pronunciation of 2 words is known; write others, or their phones in slashes (/T ER N/):",
        f"  {path}, line 1: 'lihgt' (near it: light)",
        f"  {path}, line 3: 'xylophone'",
    ]
    with pytest.raises(InputError, match=r"of 4 words is known; give a dictionary in the CMU format(.|\n)*'turn'"):
        Lexicon.read(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lihgt", "line 2: no pronunciation of 'lihgt' is known; the nearest entries are light; write one of those"),
        ("xylophone", "line 2: no pronunciation of 'xylophone' is known; nothing is near it"),
        ("word\tW EX D", "line 2: expected phones of ARPAbet (AA, AE, AH, AO, ...), got 'EX'"),
        ("\tW ER D", "line 2: expected a word before the phones"),
        ("turn on  T ER N | | AA N", "line 2: expected phones of ARPAbet (AA, AE, AH, AO, ...), got none"),
        ("turn //", "line 2: expected phones of ARPAbet (AA, AE, AH, AO, ...), got none"),
        ("turn / on", "line 2: expected phones of ARPAbet"),
        ("the " * 9, "at most 256 ways to say them, got 18 phones and 512 ways"),
        ("light " * 67, "expected from 1 to 200 phones"),
    ],
)
def test_a_line_that_does_not_fit_is_named(line: str, message: str, dictionary: Dictionary, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text(f"turn\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(message)):
        Lexicon.read(path, dictionary)


def test_what_is_no_vocabulary_is_refused(tmp_path: Path, dictionary: Dictionary) -> None:
    path = tmp_path / "words.txt"
    with pytest.raises(InputError, match="cannot be read: No such file"):
        Lexicon.read(path)
    path.write_text("# nothing\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"words\.txt is empty; expected at least one word"):
        Lexicon.read(path)
    with pytest.raises(InputError, match="holds no pronunciation"):
        read_dictionary(path)
    path.write_bytes(b"RIFF\0\0")
    with pytest.raises(InputError, match="is no text file"):
        read_dictionary(path)
    path.write_text("light L AY T\nturn\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"line 2: expected phones of ARPAbet .*, got none"):
        read_dictionary(path)
    with pytest.raises(InputError, match="the vocabulary is empty"):
        Lexicon.of([], dictionary)
    with pytest.raises(InputError, match="'light': no pronunciation of 'light' is known; give a dictionary"):
        Lexicon.of(["light"])
    with pytest.raises(InputError, match="expected from 1 to 200 phones"):
        Lexicon.of([" "])


def test_a_dictionary_in_latin_1_is_read(tmp_path: Path) -> None:
    path = tmp_path / "small.dict"
    path.write_bytes("café K AE F EY\n".encode("latin-1"))
    assert read_dictionary(path) == {"café": (("K", "AE", "F", "EY"),)}
