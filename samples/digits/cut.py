"""Cut the digits of many speakers out of sentences, to train on beside the six speakers of the digit corpus.

    python samples/digits/cut.py --data DATA --out DATA/digits-cut

From each corpus with aligned phones (`utterances.jsonl`) those words are taken whose phones are found exactly as often
as the text has the word, at most two of each digit by each speaker; with a little of what is around them, as 8 kHz FLAC
files `LABEL_SPEAKER_TAKE.flac`.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import soundfile
import soxr

CORPORA = tuple(
    f"speech/{name}/train" for name in ("an4", "common_voice_en", "librispeech", "speech_commands", "speechocean762")
)
MOST = 2  # of each digit by each speaker, so that no voice and no digit outweighs the others
RATE, BEFORE, AFTER = 8000, 0.04, 0.06  # Hz; seconds around a word
DIGITS = {
    "zero": ("Z IH R OW", "Z IY R OW"),
    "one": ("W AH N", "HH W AH N"),
    "two": ("T UW",),
    "three": ("TH R IY",),
    "four": ("F AO R",),
    "five": ("F AY V",),
    "six": ("S IH K S",),
    "seven": ("S EH V AH N", "S EH V IH N"),
    "eight": ("EY T",),
    "nine": ("N AY N",),
}


def places(row: dict[str, Any]) -> Iterator[tuple[int, float, float]]:
    """Yield digit, start and end (s) of each digit that is sure to be one."""
    words = row["text"].lower().split()
    phones = [phone for phone in row["phones"] if phone[2] != "SIL"]
    names = [phone[2] for phone in phones]
    for digit, (word, forms) in enumerate(DIGITS.items()):
        found = [
            (start, start + len(form.split()))
            for start in range(len(names))
            for form in forms
            if names[start : start + len(form.split())] == form.split()
        ]
        if len(found) == words.count(word):
            for first, after in found:
                last = phones[after - 1]
                yield digit, phones[first][0], last[0] + last[1]


def write_part(source: Path, begin: float, stop: float, file: Path) -> None:
    """Write what a recording holds between two times (s)."""
    samples, rate = soundfile.read(source, dtype="float32")
    part = samples[max(0, round(begin * rate)) : round(stop * rate)]
    soundfile.write(file, soxr.resample(part, rate, RATE), RATE)


def main() -> None:
    """Parse, cut, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that the corpora are in")
    parser.add_argument("--out", type=Path, required=True, help="folder for the digits")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    taken = Counter[tuple[int, str]]()
    for corpus in CORPORA:
        short = corpus.split("/")[1].replace("_", "-")
        index = args.data / corpus / "utterances.jsonl"
        for line in index.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            speaker = f"{short}-{row['speaker']}".replace("_", "-")
            for digit, start, end in places(row):
                if taken[digit, speaker] == MOST:
                    continue
                taken[digit, speaker] += 1
                file = args.out / f"{digit}_{speaker}_{taken[digit, speaker]}.flac"
                write_part(index.parent / row["audio"], start - BEFORE, end + AFTER, file)
    print(f"{taken.total()} digits of {len({speaker for _, speaker in taken})} speakers in {args.out}")


if __name__ == "__main__":
    main()
