"""Score the forecasts of the transformer's oil temperature on the four months that nothing was chosen by.

    python samples/forecast/score.py samples/forecast/transformer.onnx --data DATA/sensor/ETTh1.csv --out runs/forecast

The model hears the whole series hour by hour, the state carried, and forecasts at each hour; scored are hours 11520 to
14400, whose targets lie there too. Printed for each horizon: pinball loss (mean over the quantiles, in degrees) and
squared error of the median, beside three others: "last" says the last value at all quantiles, "day before" the value
24 h before what is forecast, "last, spread" the last value plus the quantiles that changes had in the training part.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from streamcell.runtime.model import Model
from streamcell.train.data.series import futures, read_series
from streamcell.train.losses import pinball

TRAINING, BEGIN, END, DAY = 8640, 11520, 14400, 24
SHOWN = (1, 3, 6, 12, 18, 24)

Floats = NDArray[np.float32]


def forecasts(model: Model, values: Floats) -> Floats:
    """Return the model's quantiles after each row, `[N, H, Q]`."""
    outputs, _ = model.step(values[None], model.initial_state())
    decoder = model.manifest.decoder
    shape = (len(values), len(decoder["horizons"]), len(decoder["quantiles"]))
    return outputs[model.manifest.outputs[0].name].reshape(shape)


def rivals(target: Floats, known: Floats, levels: list[float]) -> dict[str, Floats]:
    """Return what others say, each `[N, H, Q]`."""
    horizons, same = known.shape[1], np.ones(len(levels), np.float32)
    before = np.stack([np.roll(target, DAY - h) for h in range(1, horizons + 1)], axis=1)
    spread = np.nanquantile(known[:TRAINING] - target[:TRAINING, None], levels, axis=0).T
    last = np.repeat(target[:, None], horizons, axis=1)
    return {
        "last": last[..., None] * same,
        "day before": before[..., None] * same,
        "last, spread": np.asarray(last[..., None] + spread, np.float32),
    }


def measure(said: Floats, known: Floats, levels: list[float]) -> dict[str, list[float]]:
    """Return pinball loss and squared error of the median by horizon."""
    rows = slice(BEGIN, END - known.shape[1])
    loss = pinball(torch.from_numpy(said[rows]), torch.from_numpy(known[rows]), torch.tensor(levels))
    squared = (said[rows, :, levels.index(0.5)] - known[rows]) ** 2
    return {"pinball": loss.tolist(), "mse": squared.mean(axis=0).tolist()}


def draw(found: dict[str, dict[str, list[float]]], path: Path) -> None:
    """Draw both measures against the horizon."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("pinball", "mse"), strict=True):
        for who, by in found.items():
            axes.plot(range(1, len(by[name]) + 1), by[name], label=who, linewidth=2.5 if who == "model" else 1.2)
        axes.set(xlabel="hours ahead", ylabel={"pinball": "pinball loss (°C)", "mse": "squared error (°C²)"}[name])
        axes.set_ylim(0, None)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Parse, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="the exported model")
    parser.add_argument("--data", type=Path, required=True, help="ETTh1.csv")
    parser.add_argument("--out", type=Path, help="folder for score.png and score.json")
    args = parser.parse_args()
    model = Model.open(args.model)
    names, decoder = model.manifest.input.channel_names, model.manifest.decoder
    values = read_series(args.data, names)[:END]
    target = np.ascontiguousarray(values[:, names.index(decoder["target"])])
    known, levels = futures(target, len(decoder["horizons"])), list(decoder["quantiles"])
    said = {"model": forecasts(model, values), **rivals(target, known, levels)}
    found = {name: measure(one, known, levels) for name, one in said.items()}
    for measured in ("pinball", "mse"):
        print(f"{measured:14}" + "".join(f"{f'+{h} h':>9}" for h in SHOWN) + f"{'mean':>9}")
        for name, by in found.items():
            shown = [by[measured][h - 1] for h in SHOWN] + [float(np.mean(by[measured]))]
            print(f"{name:14}" + "".join(f"{value:9.3f}" for value in shown))
    rows = slice(BEGIN, END - known.shape[1])
    below = (known[rows, :, None] <= said["model"][rows]).mean(axis=(0, 1))
    print("came below " + ", ".join(f"q{q:g}: {100 * b:.1f}%" for q, b in zip(levels, below, strict=True)))
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "score.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
        draw(found, args.out / "score.png")


if __name__ == "__main__":
    main()
