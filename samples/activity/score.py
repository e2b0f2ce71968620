"""Score a model of activities as a device would run it: each recording streamed once, the state carried through it.

    python samples/activity/score.py activity.onnx --data DATA/sensor/hapt.zip --users 2 9 10 13 20 --out runs/activity

Prints, for the six basic activities, the accuracy on windows of 2.56 s with half overlap that lie within one activity,
by the model's answer at the window's last sample, and on all samples; for all twelve classes the macro-F1; and how soon
a new activity is recognised. Answers are the most probable of all twelve classes; "decided" is what the decoder shows
at that moment. With --out, `confusions.png` and `score.json` go there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.decode import make_decoder
from streamcell.runtime.model import Model
from streamcell.runtime.posteriors import Posteriors
from streamcell.train.data.sensor import Recording, read_sensor
from streamcell.train.metrics import confusion_matrix, macro_f1
from streamcell.train.plots import plot_confusions

BASIC = 6  # the first labels: walking, upstairs, downstairs, sitting, standing, laying
WINDOW = 128  # samples: 2.56 s
RUN = 25  # samples that must be right in a row: 0.5 s

Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Answer:
    """One recording, and for each sample the most probable label and the label that the decoder showed (-1: none)."""

    recording: Recording
    likeliest: Labels
    decided: Labels


def answer(model: Model, recording: Recording) -> Answer:
    """Stream a recording sample by sample."""
    names = model.manifest.outputs[0].labels
    posteriors, decoder = Posteriors(model), make_decoder(model.manifest)
    likeliest, decided = [], []
    for row in recording.values:
        for frames in posteriors.push(row[None]):
            decoder.push(frames)
            likeliest.append(int(frames.values[0].argmax()))
            shown = decoder.partial()
            decided.append(names.index(shown[-1].label) if shown else -1)
    return Answer(recording, np.array(likeliest), np.array(decided))


def windows(answers: Sequence[Answer]) -> Iterator[tuple[int, int]]:
    """Yield label and answer of each window that lies within one basic activity."""
    for one in answers:
        labels = one.recording.labels
        for begin in range(0, len(labels) - WINDOW + 1, WINDOW // 2):
            label = int(labels[begin])
            if 0 <= label < BASIC and (labels[begin : begin + WINDOW] == label).all():
                yield label, int(one.likeliest[begin + WINDOW - 1])


def spans(labels: Labels) -> Iterator[tuple[int, int, int]]:
    """Yield begin, end and label of each stretch of one basic activity."""
    cuts = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    for begin, end in pairwise(cuts):
        if 0 <= labels[begin] < BASIC:
            yield begin, end, int(labels[begin])


def delays(answers: Sequence[Answer], rate: int, *, decided: bool) -> list[float]:
    """Return for each activity the seconds from its start to the start of the first right run of 0.5 s; inf: never."""
    found = []
    for one in answers:
        given = one.decided if decided else one.likeliest
        for begin, end, label in spans(one.recording.labels):
            right = np.convolve(given[begin:end] == label, np.ones(RUN), "valid") == RUN
            found.append(float(right.argmax()) / rate if right.any() else float("inf"))
    return found


def wrong_switches(answers: Sequence[Answer], rate: int, *, decided: bool) -> float:
    """Return how often a minute, within an activity and once it was right, the answer turns wrong."""
    switches, seconds = 0, 0.0
    for one in answers:
        given = one.decided if decided else one.likeliest
        for begin, end, label in spans(one.recording.labels):
            right = given[begin:end] == label
            if right.any():
                right = right[right.argmax() :]
                switches += int((right[:-1] & ~right[1:]).sum())
                seconds += len(right) / rate
    return 60 * switches / seconds


def figures(answers: Sequence[Answer], rate: int, labels: int) -> dict[str, float]:
    """Return everything that is measured."""
    pairs = list(windows(answers))
    true = np.concatenate([one.recording.labels for one in answers])
    likeliest, decided = (np.concatenate([getattr(one, name) for one in answers]) for name in ("likeliest", "decided"))
    basic, known = (true >= 0) & (true < BASIC), true >= 0
    late, shown = (np.array(delays(answers, rate, decided=decided)) for decided in (False, True))
    return {
        "windows": len(pairs),
        "window_accuracy": sum(label == given for label, given in pairs) / len(pairs),
        "sample_accuracy": float((true == likeliest)[basic].mean()),
        "sample_accuracy_decided": float((true == decided)[basic].mean()),
        "sample_accuracy_all_classes": float((true == likeliest)[known].mean()),
        "macro_f1": macro_f1(confusion_matrix(true[known], likeliest[known], labels)),
        "delay_median_s": float(np.median(late)),
        "delay_median_decided_s": float(np.median(shown)),
        "never_recognised": float(np.isinf(late).mean()),
        "wrong_switches_a_minute": wrong_switches(answers, rate, decided=False),
        "wrong_switches_a_minute_decided": wrong_switches(answers, rate, decided=True),
    }


def main() -> None:
    """Parse, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="the exported model")
    parser.add_argument("--data", type=Path, required=True, help="hapt.zip, or the unpacked folder")
    parser.add_argument("--users", nargs="+", required=True, help="whose recordings")
    parser.add_argument("--out", type=Path, help="folder for confusions.png and score.json")
    args = parser.parse_args()
    model = Model.open(args.model)
    spec, names = model.manifest.input, model.manifest.outputs[0].labels
    data = read_sensor("hapt", args.data, sample_rate=spec.sample_rate, channels=spec.channel_names, labels=names)
    chosen = [one for one in data.recordings if one.group in args.users]
    answers = [answer(model, one) for one in chosen]
    found = figures(answers, spec.sample_rate, len(names))
    for name, value in found.items():
        print(f"{name:32} {value:.4g}")
    for user in args.users:
        pairs = list(windows([one for one in answers if one.recording.group == user]))
        print(f"user {user:27} {sum(a == b for a, b in pairs) / max(1, len(pairs)):.4f} of {len(pairs)} windows")
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "score.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
        counts = {(a, b): 0 for a in names for b in names}
        for one in answers:
            for label, given in zip(one.recording.labels.tolist(), one.likeliest.tolist(), strict=True):
                if label >= 0:
                    counts[names[label], names[given]] += 1
        plot_confusions(counts, args.out / "confusions.png", names)


if __name__ == "__main__":
    main()
