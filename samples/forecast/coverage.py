"""Score the forecasts of simulated returns: how much came below each quantile, and how far each is from the true one.

    python samples/forecast/simulate.py --out DATA/returns-test --seed 99 --rows 20000
    python samples/forecast/coverage.py samples/forecast/returns.onnx --data DATA/returns-test/returns.csv

The returns are of another seed than those of training. One step ahead the true quantiles are known, sigma times those
of the standard normal distribution. "constant" are the quantiles of the whole distribution, which is what to say
without hearing anything.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import NormalDist

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from streamcell.runtime.model import Model
from streamcell.train.data.series import futures, read_series
from streamcell.train.losses import pinball

WARM = 500  # returns that are heard before any is scored
SHOWN = 400  # steps of the picture


def draw(returns: NDArray[np.float32], true: NDArray[np.float64], said: NDArray[np.float32], path: Path) -> None:
    """Draw returns with the true and the forecast quantiles, lowest and highest, of the step that they belong to."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots()
    steps = np.arange(SHOWN)
    axes.plot(steps, returns[:SHOWN], "k.", markersize=3, label="what came")
    for column in (1, -2):
        axes.plot(steps, true[:SHOWN, column], "C0", label="true 5% and 95%" if column == 1 else None)
        axes.plot(steps, said[:SHOWN, column], "C1", label="forecast 5% and 95%" if column == 1 else None)
    axes.set(xlabel="step", ylabel="return", title="simulated returns, one step ahead")
    axes.legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Parse, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="the exported model")
    parser.add_argument("--data", type=Path, required=True, help="returns.csv, with the columns return and sigma")
    parser.add_argument("--out", type=Path, help="folder for coverage.png")
    args = parser.parse_args()
    model = Model.open(args.model)
    decoder = model.manifest.decoder
    levels, horizons = list(decoder["quantiles"]), len(decoder["horizons"])
    heard, sigma = np.ascontiguousarray(read_series(args.data, ["return", "sigma"]).T)
    rows = slice(WARM, len(heard) - horizons)
    outputs, _ = model.step(heard[None, :, None], model.initial_state())
    said = outputs[model.manifest.outputs[0].name].reshape(len(heard), horizons, len(levels))
    known = futures(heard, horizons)
    print("came below    " + "".join(f"{f'q{q:g}':>9}" for q in levels))
    for h in range(horizons):
        below = (known[rows, h, None] <= said[rows, h]).mean(axis=0)
        print(f"+{h + 1:<13}" + "".join(f"{100 * b:8.1f}%" for b in below))
    true = np.outer(sigma[WARM + 1 : len(sigma) - horizons + 1], [NormalDist().inv_cdf(q) for q in levels])
    constant = np.tile([np.quantile(heard, q) for q in levels], (len(true), 1))
    print("\none step ahead       distance from the true quantile, mean    pinball loss")
    for name, one in (("model", said[rows, 0]), ("true", true), ("constant", constant)):
        away = np.abs(one - true).mean(axis=0)
        tensors = (np.asarray(one, np.float32)[:, None], known[rows, :1], np.array(levels, np.float32))
        loss = pinball(*map(torch.from_numpy, tensors))
        print(f"{name:9}" + "".join(f"{x:7.3f}" for x in away) + f"{float(loss):11.4f}")
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        draw(heard[WARM + 1 :], true, said[rows, 0], args.out / "coverage.png")


if __name__ == "__main__":
    main()
