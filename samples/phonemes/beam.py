r"""Greedy against beam search on recorded speech: error rates, speed, and how far confidences can be trusted.

    streamcell lm said.jsonl text.txt --dictionary DATA/speech/cmudict/cmudict.dict --order 4 --out phones.arpa
    python samples/phonemes/beam.py DATA/speech/{speechocean762,librispeech}/train \
        --recipe samples/phonemes/recipe.toml --lm phones.arpa --fit c.json
    python samples/phonemes/beam.py DATA/speech/speechocean762/dev --lm phones.arpa --calibration c.json --picture c.png
    python samples/phonemes/beam.py --write phonemes-en.onnx --model raw.onnx --calibration c.json

With --recipe only the speakers that it holds out of training are heard. Each recording goes through the model once,
then through each decoder. Confidences: the share of right phones (aligned with the corpus's) against the confidence
that was given, as expected calibration error over 15 bins (Naeini et al., 2015), pauses left out; --fit writes slope
and offset of a logistic map of the logit for each decoder (Platt, 1999), both corpora counting alike. With
--calibration that map is judged, else the one that fits best here. --picture draws the shares over the confidences.
--write puts beam search (with --lm) or greedy search, calibrated, into a copy of the model, which `score.py` and every
command take; its graph stays as it is.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from streamcell.runtime import Model, Segment
from streamcell.runtime.decode import make_decoder
from streamcell.runtime.manifest import MANIFEST_KEY
from streamcell.runtime.models import read_model
from streamcell.train.metrics import align
from streamcell.train.phone_scoring import Answers, answer, choose, interval, total

BINS = 15

Maps = dict[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Judged:
    """The confidences of one decoder, raw and calibrated, what was right, and the best map."""

    raw: NDArray[np.float64]
    calibrated: NDArray[np.float64]
    right: NDArray[np.bool_]
    best: tuple[float, float]


def judge(
    heard: Sequence[Answers], found: Sequence[list[Segment]]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Return of every phone that was told the confidence, whether it is right, and a weight: corpora weigh the same."""
    sure, right, corpus = [], [], []
    for one, segments in zip(heard, found, strict=True):
        said = one.pair(segments).spoken
        for i, j in align(*one.pair(segments).labels):
            if j is not None:
                sure.append(segments[j].confidence)
                right.append(i is not None and said[i][2] == segments[j].label)
                corpus.append(str(one.utterance.audio.parent))
    counts = Counter(corpus)
    return np.array(sure), np.array(right), np.array([1 / counts[name] for name in corpus])


def reliability(sure: NDArray[np.float64], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return `[3, BINS]`: how many phones, sum of confidences, how many right phones, in equally wide bins."""
    places = np.minimum((sure * BINS).astype(int), BINS - 1)
    return np.stack([np.bincount(places, weights, BINS) for weights in (np.ones_like(sure), sure, right)])


def calibration_error(sure: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Return the mean distance of confidence and share of right phones over the bins, by their phones."""
    _, said, true = reliability(sure, right)
    return float(np.abs(said - true).sum() / len(sure))


def calibrated(sure: NDArray[np.float64], slope: float, offset: float) -> NDArray[np.float64]:
    """Return what the decoder makes of raw confidences."""
    odds = np.clip(sure, 1e-6, 1 - 1e-6)
    found: NDArray[np.float64] = 1 / (1 + np.exp(-slope * np.log(odds / (1 - odds)) - offset))
    return found


def fit(sure: NDArray[np.float64], right: NDArray[np.bool_], share: NDArray[np.float64]) -> tuple[float, float]:
    """Return slope and offset of the most probable logistic map of the logit, by Newton's method."""
    odds = np.clip(sure, 1e-6, 1 - 1e-6)
    x = np.stack([np.log(odds / (1 - odds)), np.ones_like(odds)], axis=1)
    weights = np.array([1.0, 0.0])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ weights))
        weights += np.linalg.solve((x.T * (share * p * (1 - p))) @ x, x.T @ (share * (right - p)))
    return float(weights[0]), float(weights[1])


def decoders(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return the settings of each decoder to try, not calibrated."""
    named: dict[str, dict[str, Any]] = {"greedy": {"name": "ctc-greedy"}, "beam": {"name": "ctc-beam"}}
    extra = json.loads(args.settings.read_text(encoding="utf-8")) if args.settings else {}
    for path in args.lm:
        named[f"beam + {path.stem}"] = {"name": "ctc-beam", "lm": path.read_text(encoding="utf-8"), **extra}
    return named


def compare(
    model: Model, heard: Sequence[Answers], named: dict[str, dict[str, Any]], known: Maps, seconds: float
) -> dict[str, Judged]:
    """Print a line for each decoder; return its confidences, and the map that fits them best."""
    judged, base = {}, 0.0
    for name, settings in named.items():
        decoder = make_decoder(replace(model.manifest, decoder=settings))
        began = time.process_time()
        found = [one.decode(decoder) for one in heard]
        took = seconds + time.process_time() - began
        base = base or took
        pairs = [one.pair(segments) for one, segments in zip(heard, found, strict=True)]
        errors, (low, high) = total(pairs), interval(pairs)
        sure, right, share = judge(heard, found)
        best = fit(sure, right, share)
        after = calibrated(sure, *known.get(name, best))
        judged[name] = Judged(sure, after, right, best)
        print(
            f"{name}: {100 * errors.rate:.2f}% (95% interval {100 * low:.1f} to {100 * high:.1f}; "
            f"{errors.substitutions} substitutions, {errors.deletions} deletions, {errors.insertions} insertions, "
            f"{errors.phones} phones); {sum(one.end for one in heard) / took:.0f} times "
            f"real time, {base / took:.2f} of greedy's; calibration error {calibration_error(sure, right):.3f}, "
            f"{calibration_error(after, right):.3f} with a map; best map {best[0]:.3f}, {best[1]:+.3f}"
        )
    return judged


def plot(judged: dict[str, Judged], path: Path) -> None:
    """Draw for each decoder the share of right phones over the confidence, and how many phones have it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(judged), 5.2), layout="constrained")
    panels = figure.subplots(2, len(judged), squeeze=False, sharex=True, height_ratios=(3, 1))
    for (upper, lower), (name, one) in zip(panels.T, judged.items(), strict=True):
        upper.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
        for what, sure in (("raw", one.raw), ("calibrated", one.calibrated)):
            count, said, true = reliability(sure, one.right)
            few = count >= 20
            error = calibration_error(sure, one.right)
            upper.plot(said[few] / count[few], true[few] / count[few], "o-", label=f"{what}: error {error:.3f}")
            lower.stairs(count, np.linspace(0, 1, BINS + 1))
        upper.set(title=name, ylabel="share of right phones", ylim=(0, 1), aspect="equal")
        lower.set(xlabel="confidence", ylabel="phones", xlim=(0, 1))
        upper.legend(loc="upper left")
    figure.savefig(path, dpi=110)


def write(model: str, out: Path, settings: dict[str, Any]) -> None:
    """Write a copy of a model that is decoded otherwise."""
    proto = onnx.load_from_string(read_model(model))
    for entry in proto.metadata_props:
        if entry.key == MANIFEST_KEY:
            entry.value = json.dumps({**json.loads(entry.value), "decoder": settings})
    onnx.save(proto, out)
    make_decoder(Model.open(out).manifest)


def speak(heard: Iterable[Answers]) -> str:
    seen = list(heard)
    return f"{len(seen)} recordings of {len({one.utterance.speaker for one in seen})} speakers"


def main() -> None:
    """Parse, hear, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="*", type=Path, help="folders with utterances.jsonl")
    parser.add_argument("--model", default="phonemes-en", help="name or file (default: the model that comes along)")
    parser.add_argument("--recipe", type=Path, help="hear only the speakers that it holds out")
    parser.add_argument("--lm", type=Path, action="append", default=[], help="an ARPA file, each a decoder of its own")
    parser.add_argument("--settings", type=Path, help="of beam search with a language model, a JSON file of bigram.py")
    parser.add_argument("--calibration", type=Path, help="what --fit wrote")
    parser.add_argument("--fit", type=Path, help="write slope and offset for each decoder into this file")
    parser.add_argument("--picture", type=Path, help="draw shares over confidences into this PNG file")
    parser.add_argument("--write", type=Path, help="write the last decoder into a copy of the model")
    args = parser.parse_args()
    named = decoders(args)
    known: Maps = json.loads(args.calibration.read_text(encoding="utf-8")) if args.calibration else {}
    if args.write:
        name = f"beam + {args.lm[-1].stem}" if args.lm else "greedy"
        if args.calibration and name not in known:
            there = ", ".join(known)
            parser.error(f"{args.calibration} has no map for {name!r}, only for {there}: --fit with that --lm")
        write(args.model, args.write, {**named[name], **({"calibration": known[name]} if name in known else {})})
        return
    model = Model.open(args.model)
    began = time.process_time()
    heard = [answer(model, one) for some in choose(args.corpora, args.recipe) for one in some]
    seconds = time.process_time() - began
    print(speak(heard))
    judged = compare(model, heard, named, known, seconds)
    if args.fit:
        maps = {name: [round(number, 3) for number in one.best] for name, one in judged.items()}
        args.fit.write_text(json.dumps(maps, indent=1) + "\n", encoding="utf-8")
    if args.picture:
        plot(judged, args.picture)


if __name__ == "__main__":
    main()
