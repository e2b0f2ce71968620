"""Corpora in their own layouts, small and made up of real recordings, become corpora to train on."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from helpers import SAMPLES
from streamcell.runtime.cli.main import main
from streamcell.runtime.errors import SourceError
from streamcell.train.data.utterances import read_corpus
from streamcell.train.importers import an4, common_voice, librispeech, listed, timit
from streamcell.train.importers.corpus import import_corpus, words_of
from streamcell.train.importers.spoken import Spoken

DICTIONARY = {
    "we": (("W", "IY"),),
    "still": (("S", "T", "IH", "L"),),
    "have": (("HH", "AE", "V"),),
    "a": (("AH",), ("EY",)),
    "lot": (("L", "AA", "T"),),
    "of": (("AH", "V"),),
    "games": (("G", "EY", "M", "Z"),),
    "to": (("T", "UW"), ("T", "AH"), ("T", "IH")),
    "play": (("P", "L", "EY"),),
}
TEXT = "WE STILL HAVE A LOT OF GAMES TO PLAY"
SOUND, RATE = soundfile.read(SAMPLES / "learner.flac", dtype="float32")


@pytest.fixture
def dictionary(tmp_path: Path) -> str:
    lines = [f"{word} {' '.join(way)}" for word, ways in DICTIONARY.items() for way in ways[:1]]
    (tmp_path / "cmudict.dict").write_text("\n".join(lines), encoding="utf-8")
    return str(tmp_path / "cmudict.dict")


def _write(path: Path, **how: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, SOUND, RATE, **how)


def _librispeech(root: Path) -> None:
    for speaker in ("84", "174"):
        folder = root / "train-clean" / speaker / "1213"
        for number in range(2):
            _write(folder / f"{speaker}-1213-{number:04}.flac")
        lines = [f"{speaker}-1213-0000 {TEXT}", f"{speaker}-1213-0001 {TEXT.replace('GAMES', 'KWYJIBOS')}"]
        (folder / f"{speaker}-1213.trans.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _common_voice(root: Path) -> None:
    _write(root / "clips" / "common_voice_en_1.mp3", format="MP3")
    rows = [
        "client_id\tpath\tsentence_id\tsentence\tup_votes",
        f"{'c0ffee' * 20}\tcommon_voice_en_1.mp3\t1\t{TEXT}.\t2",
    ]
    (root / "validated.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def _an4(root: Path) -> None:
    _write(root / "wav" / "an4_clstk" / "fash" / "an251-fash-b.sph", format="NIST", subtype="PCM_16")
    (root / "etc").mkdir()
    (root / "etc" / "an4_train.fileids").write_text("an4_clstk/fash/an251-fash-b\n", encoding="utf-8")
    (root / "etc" / "an4_train.transcription").write_text(f"<s> {TEXT} </s> (an251-fash-b)\n", encoding="utf-8")


def _list(root: Path) -> None:
    root.mkdir()
    row = {"audio": str(SAMPLES / "learner.flac"), "text": TEXT.lower(), "speaker": "x"}
    (root / "utterances.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")


def _timit(root: Path) -> None:
    folder = root / "TRAIN" / "DR1" / "FCJF0"
    for name in ("SI648", "SA1"):
        _write(folder / f"{name}.WAV", format="NIST", subtype="PCM_16")
        ends = [0, 3050, 4559, 5723, 6642, 8772, 9190, 10337, 11517]
        heard = zip(ends, ends[1:], ["h#", "sh", "ix", "hv", "eh", "dcl", "jh", "pau"], strict=False)
        phones = "".join(f"{begin} {end} {phone}\n" for begin, end, phone in heard)
        (folder / f"{name}.PHN").write_text(phones, encoding="utf-8")
        (folder / f"{name}.TXT").write_text("0 46797 She had a thing.\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "make", "speakers"),
    [
        ("librispeech", _librispeech, {"84", "174"}),
        ("common_voice", _common_voice, {("c0ffee" * 20)[:16]}),
        ("an4", _an4, {"fash"}),
        ("list", _list, {"x"}),
    ],
)
def test_corpora_are_imported(
    kind: str,
    make: Callable[[Path], None],
    speakers: set[str],
    tmp_path: Path,
    dictionary: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make(tmp_path / "corpus")
    code = main(["import", kind, str(tmp_path / "corpus"), "--out", str(tmp_path / "out"), "--dictionary", dictionary])
    _, err = capsys.readouterr()
    assert ("kwyjibos (2)" in err) == (kind == "librispeech") == bool(code)
    found = read_corpus(tmp_path, "out")
    assert {one.speaker for one in found} == speakers
    assert len(found) == len({one.id for one in found}) == len(speakers)
    truth = json.loads((SAMPLES / "utterances.jsonl").read_text(encoding="utf-8").splitlines()[0])
    spoken = [(start, label) for start, _, label in truth["phones"] if label != "SIL"]
    for one in found:
        assert one.audio.is_file()
        phones = [(start, label) for start, _, label in one.phones if label != "SIL"]
        assert [label for _, label in phones[:9]] == ["W", "IY", "S", "T", "IH", "L", "HH", "AE", "V"]
        errors = [abs(a - b) for (a, _), (b, _) in zip(phones[:9], spoken, strict=False)]
        assert np.median(errors) < 0.05
        assert sum(duration for _, duration, _ in one.phones) == pytest.approx(len(SOUND) / RATE, abs=0.01)


def test_timit_tells_its_own_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _timit(tmp_path / "TIMIT")
    assert main(["import", "timit", str(tmp_path / "TIMIT" / "TRAIN"), "--out", str(tmp_path / "out")]) == 0
    assert "1 of 1 recordings" in capsys.readouterr().err
    (one,) = read_corpus(tmp_path, "out")
    assert (one.id, one.speaker) == ("FCJF0-SI648", "FCJF0")
    assert [label for *_, label in one.phones] == ["SIL", "SH", "IH", "HH", "EH", "JH", "SIL"]
    ends = [start + duration for start, duration, _ in one.phones]
    assert np.array(ends) == pytest.approx(np.array([3050, 4559, 5723, 6642, 8772, 10337, 11517]) / 16000)
    soundfile.read(one.audio)


def test_timit_is_folded_as_lee_and_hon_did() -> None:
    assert len(timit.FOLD) == 61
    classes = set(timit.fold_39(list(timit.FOLD.values())))
    assert len(classes) == 38  # their 39 but for DX, which a dictionary of words does not know
    rows = [(0, 10, "bcl"), (10, 20, "b"), (20, 30, "kcl"), (30, 40, "gcl"), (40, 50, "q"), (50, 60, "epi")]
    assert [label for *_, label in timit.fold(rows)] == ["B", "K", "G", "SIL"]
    assert sum(duration for _, duration, _ in timit.fold(rows)) == pytest.approx(60 / 16000)


def test_a_run_that_was_stopped_goes_on(tmp_path: Path) -> None:
    spoken = [Spoken(f"u{i}", "s", SAMPLES / "learner.flac", "we still have") for i in range(4)]
    spoken[2] = Spoken("u2", "s", tmp_path / "gone.flac", "we")
    whole = import_corpus(spoken, tmp_path / "whole", DICTIONARY, jobs=2)
    assert (whole.done, [name for name, _ in whole.failed]) == (3, ["u2"])
    expected = (tmp_path / "whole" / "utterances.jsonl").read_bytes()
    (tmp_path / "out").mkdir()
    first = expected[: expected.index(b"\n") + 1]
    (tmp_path / "out" / "utterances.jsonl.partial").write_bytes(first + b'{"id": "u1", "spea')
    seen = list[int]()
    account = import_corpus(spoken, tmp_path / "out", DICTIONARY, progress=lambda number, _: seen.append(number))
    assert seen == [1, 2, 3]
    assert account.done == 3
    assert (tmp_path / "out" / "utterances.jsonl").read_bytes() == expected
    assert not (tmp_path / "out" / "utterances.jsonl.partial").exists()


def test_words_are_cut_as_a_dictionary_has_them() -> None:
    assert words_of("\u201cDon\u2019t\u201d \u2013 she SAID (twice): ok?") == ["don't", "she", "said", "twice", "ok"]
    assert words_of("the dogs' well-known 3rd") == ["the", "dogs'", "well", "known", "3rd"]


@pytest.mark.parametrize("read", [librispeech.read, common_voice.read, an4.read, timit.read, listed.read])
def test_a_folder_of_another_kind_says_what_was_looked_for(read: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected"):
        list(read(tmp_path))  # type: ignore[call-overload]


def test_lines_that_do_not_fit_are_named(tmp_path: Path) -> None:
    _an4(tmp_path / "an4")
    (tmp_path / "an4" / "etc" / "an4_train.transcription").write_text("<s> YES </s> (an1-x-b)\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"expected '<s> TEXT </s> \(an251-fash-b\)', got"):
        list(an4.read(tmp_path / "an4"))
    _timit(tmp_path / "timit")
    next(tmp_path.rglob("SI648.PHN")).write_text("0 100 h#\n100 200 zz\n", encoding="utf-8")
    with pytest.raises(SourceError, match="line 2: expected 'BEGIN END PHONE'"):
        list(timit.read(tmp_path / "timit"))
    (tmp_path / "list.jsonl").write_text('{"audio": "x.wav", "text": "a"}\n["x.wav", "a"]\n', encoding="utf-8")
    with pytest.raises(SourceError, match="line 2: expected an object"):
        list(listed.read(tmp_path / "list.jsonl"))
    (tmp_path / "validated.tsv").write_text("path\tsentence\nx.mp3\thi\n", encoding="utf-8")
    with pytest.raises(SourceError, match="client_id is missing"):
        list(common_voice.read(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["librispeech", "gone"], "there is no gone"),
        (["librispeech", "."], "give one in the CMU format with --dictionary"),
        (["timit", ".", "--split", "x"], "--split is for common_voice and an4"),
        (["timit", ".", "--jobs", "0"], "--jobs must be 1 or more"),
        (["timit", "."], "name TIMIT's TRAIN folder"),
    ],
)
def test_bad_input_is_one_line_and_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["--dictionary", "d.dict"] if arguments[1] == "gone" else []
    (tmp_path / "d.dict").write_text("a AH\n", encoding="utf-8")
    assert main(["import", *arguments, "--out", "out", *given]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err
