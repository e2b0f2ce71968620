"""Score a phoneme model as users meet it: a corpus through `streamcell transcribe`, against the corpus's phones.

    python samples/phonemes/score.py DATA/speech/speechocean762/dev --out runs/phonemes
    python samples/phonemes/score.py DATA/speech/speechocean762/dev --rate 48000

Prints the phone error rate (silence left out) with a 95% interval by bootstrap over speakers, and how good the times
are: start error of matched phones, share of phones matched, ratio of durations. With --rate each recording is first
resampled to that rate and written as a wav file. With --out, `confusions.png` and `score.json` go there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import soundfile
import soxr

from streamcell.train.data.utterances import Utterance
from streamcell.train.metrics import align, confusions
from streamcell.train.phone_scoring import Pair, Phone, choose, interval, total
from streamcell.train.plots import plot_confusions


def transcribe(files: Sequence[Path], model: str) -> list[list[Phone]]:
    """Return the phones that `streamcell transcribe` prints for each of `files`."""
    command = [
        sys.executable,
        "-m",
        "streamcell",
        "transcribe",
        "--model",
        model,
        "--format",
        "jsonl",
        *map(str, files),
    ]
    result = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if result.returncode not in {0, 1}:  # 1: a file was cut, and what could be decoded is there
        raise SystemExit(result.returncode)
    lines = result.stdout.splitlines()
    rows = [json.loads(line)["segments"] for line in lines]
    if len(rows) != len(files):
        raise SystemExit(f"expected {len(files)} results, got {len(rows)}")
    return [[(s["start"], s["end"] - s["start"], s["label"]) for s in row if s["label"] != "SIL"] for row in rows]


def resample(files: Sequence[Path], rate: int, folder: Path) -> list[Path]:
    """Write each of `files` at `rate` Hz into `folder`."""
    changed = []
    for number, path in enumerate(files):
        samples, source = soundfile.read(path, dtype="float32")
        changed.append(folder / f"{number}.wav")
        soundfile.write(changed[-1], soxr.resample(samples, source, rate), rate, subtype="FLOAT")
    return changed


def score(utterances: Sequence[Utterance], model: str, rate: int | None) -> list[Pair]:
    """Transcribe them all."""
    files = [one.audio for one in utterances]
    with tempfile.TemporaryDirectory() as folder:
        heard = transcribe(files if rate is None else resample(files, rate, Path(folder)), model)
    return [Pair(utterance, phones) for utterance, phones in zip(utterances, heard, strict=True)]


def times(pairs: Sequence[Pair]) -> dict[str, float]:
    """Return how well the times of matched phones fit."""
    errors, ratios, spoken = [], [], 0
    for pair in pairs:
        said, heard = pair.spoken, pair.heard
        spoken += len(said)
        for i, j in align(*pair.labels):
            if i is not None and j is not None and said[i][2] == heard[j][2]:
                errors.append(abs(said[i][0] - heard[j][0]))
                ratios.append(heard[j][1] / said[i][1])
    middle, most = np.quantile(errors, [0.5, 0.9])
    return {
        "matched": len(errors) / spoken,
        "start_error_median_s": float(middle),
        "start_error_90_s": float(most),
        "duration_ratio_median": float(np.median(ratios)),
    }


def main() -> None:
    """Parse, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="folder with utterances.jsonl")
    parser.add_argument("--model", default="phonemes-en", help="name or file (default: the model that comes along)")
    parser.add_argument("--recipe", type=Path, help="hear only the speakers that this recipe holds out")
    parser.add_argument("--rate", type=int, help="resample the recordings to this rate first, Hz")
    parser.add_argument("--out", type=Path, help="folder for confusions.png and score.json")
    args = parser.parse_args()
    (utterances,) = choose([args.corpus], args.recipe)
    pairs = score(utterances, args.model, args.rate)
    errors, (low, high) = total(pairs), interval(pairs)
    fit = times(pairs)
    figures = {
        "corpus": str(args.corpus),
        "rate": args.rate,
        "error_rate": errors.rate,
        "interval": [low, high],
        **asdict(errors),
        **fit,
    }
    print(f"phone error rate {100 * errors.rate:.2f}% (95% interval {100 * low:.1f} to {100 * high:.1f}), {errors}")
    print(
        f"times: {100 * fit['matched']:.1f}% of the phones matched, "
        f"start error median {1000 * fit['start_error_median_s']:.0f} ms, "
        f"90% within {1000 * fit['start_error_90_s']:.0f} ms, "
        f"duration ratio median {fit['duration_ratio_median']:.2f}"
    )
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "score.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
        plot_confusions(confusions(pair.labels for pair in pairs), args.out / "confusions.png")


if __name__ == "__main__":
    main()
