"""Cut the digits of many speakers out of sentences, to train on beside the six speakers of the digit corpus.

    python samples/digits/cut.py --data DATA --out DATA/digits-cut

From each corpus with aligned phones (`utterances.jsonl`) those words are taken whose phones are found exactly as often
as the text has the word; with a little of what is around them, as 8 kHz FLAC files `LABEL_SPEAKER_TAKE.flac`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import soundfile
import soxr

CORPORA = ("speech/an4/train", "speech/speech_commands/train", "speech/speechocean762/train")
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


def main() -> None:
    """Parse, cut, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that the corpora are in")
    parser.add_argument("--out", type=Path, required=True, help="folder for the digits")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    count, speakers = 0, set[str]()
    for corpus in CORPORA:
        short = corpus.split("/")[1].replace("_", "-")
        index = args.data / corpus / "utterances.jsonl"
        for line in index.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            cuts = list(places(row))
            if not cuts:
                continue
            samples, rate = soundfile.read(index.parent / row["audio"], dtype="float32")
            for digit, start, end in cuts:
                part = samples[max(0, round((start - BEFORE) * rate)) : round((end + AFTER) * rate)]
                speaker = f"{short}-{row['speaker']}".replace("_", "-")
                soundfile.write(args.out / f"{digit}_{speaker}_{count}.flac", soxr.resample(part, rate, RATE), RATE)
                count += 1
                speakers.add(speaker)
    print(f"{count} digits of {len(speakers)} speakers in {args.out}")


if __name__ == "__main__":
    main()
