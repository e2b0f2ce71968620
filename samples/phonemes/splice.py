r"""Make new utterances out of a corpus: words of the same speaker in an order in which nobody said them.

    python samples/phonemes/splice.py DATA/speech/common_voice_en/train --dictionary cmudict.dict --hours 2.5 \
        --out DATA/speech/spliced_volunteers/train

Where there are few minutes of many people, a network learns their sentences by heart. Cut into runs of one to three
words, with up to 0.12 s of the pauses around them, and joined over 8 ms in another order, the same recordings teach
sounds, voices and microphones without the sentences (after Lam et al., "On-the-fly aligned data augmentation for
sequence-to-sequence ASR", 2021, who put other people's words in their place).

What the recipe holds out is left out, and so are utterances whose phones are no pronunciation of their text in the
dictionary: nobody can tell where their words begin. How often somebody speaks follows from how much they said.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from bigram import RECIPE, begun
from streamcell.runtime.errors import StreamcellError
from streamcell.runtime.words import Dictionary, read_dictionary
from streamcell.train.data.utterances import SLACK, Utterance, read_audio, read_corpus, to_float
from streamcell.train.recipe import PhonemeRecipe, read_recipe

RATE = 16000
WORDS = (4, 12)  # of an utterance
RUN = (1, 3)  # words that stay together
PAUSE = 0.12  # s, of the pauses around them at most
FADE = 0.008  # s
LEAST = 0.03  # s; a shorter pause is the end of the phone before
SHORTEST = 0.01  # s, of a phone

Phones = list[tuple[float, float, str]]
"""Start in seconds, duration in seconds, label."""


@dataclass(frozen=True, slots=True)
class Said:
    """One recording `[n]` and its words: of each the phones."""

    samples: NDArray[np.float32]
    words: list[Phones]


def words_of(one: Utterance, text: str, dictionary: Dictionary) -> list[Phones]:
    """Return the phones of each word; nothing where they are no pronunciation of the text."""
    spoken = [phone for phone in one.phones if phone[2] != "SIL"]
    found = list[Phones]()
    for phone, label in zip(spoken, begun(text, [label for _, _, label in spoken], dictionary), strict=False):
        if label.endswith("_B"):
            found.append([])
        found[-1].append(phone)
    return found


def read_speakers(folder: Path, held_out: set[str], dictionary: Dictionary) -> dict[str, list[Said]]:
    """Return what everybody said, as far as its words are known and all of them can be cut out."""
    utterances = read_corpus(folder.parent, folder.name)
    lines = (folder / "utterances.jsonl").read_text(encoding="utf-8").split("\n")
    texts = [str(json.loads(line).get("text") or "") for line in lines if line.strip()]
    found = dict[str, list[Said]]()
    for one, text in zip(utterances, texts, strict=True):
        if one.speaker not in held_out and (words := words_of(one, text, dictionary)):
            said = Said(to_float(read_audio(one.audio, RATE)), words)
            length = len(said.samples) / RATE
            inside = words[0][0][0] >= 0 and end_of(words[-1]) <= length + SLACK
            if inside and min(min(end_of(word), length) - word[0][0] for word in words) >= 2 * FADE:
                found.setdefault(one.speaker, []).append(said)
    return found


def end_of(phones: Phones) -> float:
    """Return when the last of them ends."""
    return phones[-1][0] + phones[-1][1]


def cut(said: Said, first: int, count: int, random: np.random.Generator) -> tuple[NDArray[np.float32], Phones]:
    """Return words out of a recording, with a part of the pauses around them; times count from the cut."""
    words = said.words[first : first + count]
    start, end = words[0][0][0], end_of(words[-1])
    before = end_of(said.words[first - 1]) if first else 0.0
    after = said.words[first + count][0][0] if first + count < len(said.words) else len(said.samples) / RATE
    begin = round((start - min(max(start - before, 0.0), random.uniform(0, PAUSE))) * RATE)
    stop = round((end + min(max(after - end, 0.0), random.uniform(0, PAUSE))) * RATE)  # past the end: as far as it goes
    phones = [(at - begin / RATE, duration, label) for word in words for at, duration, label in word]
    return said.samples[begin:stop], phones


def splice(recordings: list[Said], random: np.random.Generator) -> tuple[NDArray[np.float32], Phones]:
    """Return an utterance of some of their words, and its phones with the pauses."""
    fade = round(FADE * RATE)
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    sound, phones = np.zeros(fade, np.float32), Phones()
    left = int(random.integers(*WORDS, endpoint=True))
    while left:
        said = recordings[int(random.integers(len(recordings)))]
        first = int(random.integers(len(said.words)))
        count = min(int(random.integers(*RUN, endpoint=True)), len(said.words) - first, left)
        piece, own = cut(said, first, count, random)
        left -= count
        begin = len(sound) - fade
        joined = sound[begin:] * (1 - ramp) + piece[:fade] * ramp
        sound = np.concatenate([sound[:begin], joined, piece[fade:]])
        phones += [(begin / RATE + at, duration, label) for at, duration, label in own]
    return sound, with_pauses(phones, len(sound) / RATE)


def with_pauses(phones: Phones, length: float) -> Phones:
    """Return phones one after another; what lies between two of them is a pause, or the end of the first."""
    found, before = Phones(), 0.0
    for start, duration, label in [*phones, (length, 0.0, "SIL")]:
        begin = max(start, before)
        if begin - before >= LEAST:
            found.append((before, begin - before, "SIL"))
        elif found:
            found[-1] = (found[-1][0], begin - found[-1][0], found[-1][2])
        before = begin
        if duration:  # what overlaps with the one before ends where it did
            before = max(start + duration, begin + SHORTEST)
            found.append((begin, before - begin, label))
    return [(round(start, 3), round(duration, 3), label) for start, duration, label in found]


def main() -> None:
    """Parse, read, splice, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="corpus with utterances.jsonl")
    parser.add_argument("--dictionary", type=Path, required=True, help="in the CMU format")
    parser.add_argument(
        "--recipe", type=Path, default=RECIPE, help="names the held-out speakers (default: recipe.toml)"
    )
    parser.add_argument("--hours", type=float, default=1.0, help="of speech (default: 1)")
    parser.add_argument("--seed", type=int, default=1, help="(default: 1)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new corpus")
    args = parser.parse_args()
    if not 0 < args.hours < math.inf:
        parser.error(f"--hours must be above 0, got {args.hours:g}")
    if args.seed < 0:
        parser.error(f"--seed must be 0 or more, got {args.seed}")
    if (args.out / "utterances.jsonl").exists():
        parser.error(f"{args.out} holds a corpus already; name another --out, or remove it")
    try:
        recipe = read_recipe(args.recipe)[0]
        if not isinstance(recipe, PhonemeRecipe):
            parser.error(f"{args.recipe} is no recipe of phonemes; expected one that names {args.folder.name}")
        held_out = {speaker for one in recipe.data.corpora for speaker in one.validation_speakers}
        speakers = read_speakers(args.folder, held_out, read_dictionary(args.dictionary))
        args.out.mkdir(parents=True, exist_ok=True)
    except (StreamcellError, OSError) as error:
        parser.error(str(error))
    if not speakers:
        parser.error(f"no utterance in {args.folder} has phones that say its text by {args.dictionary}")
    names = sorted(speakers)
    words = np.array([sum(len(said.words) for said in speakers[name]) for name in names])
    print(f"{sum(map(len, speakers.values()))} utterances, {words.sum()} words of {len(names)} speakers", flush=True)
    random = np.random.default_rng(args.seed)
    number = samples = 0
    with (args.out / "utterances.jsonl").open("w", encoding="utf-8") as index:
        while samples < 3600 * args.hours * RATE:
            name = names[int(random.choice(len(names), p=words / words.sum()))]
            sound, phones = splice(speakers[name], random)
            audio = f"{number:06}.flac"
            soundfile.write(args.out / audio, sound, RATE, subtype="PCM_16")
            index.write(json.dumps({"id": audio[:6], "speaker": name, "audio": audio, "phones": phones}) + "\n")
            number, samples = number + 1, samples + len(sound)
    print(f"{number} utterances, {samples / RATE / 3600:.2f} h")


if __name__ == "__main__":
    main()
