"""Simulate a series of returns whose swings come in bursts, and an oil temperature to try the other model on.

    python samples/forecast/simulate.py --out DATA/returns --seed 1

All of it is simulated; there is no market and no transformer.

`returns.csv`, GARCH(1,1) (Bollerslev 1986): `r[t] = s[t] z[t]`, `s[t]^2 = 0.05 + 0.10 r[t-1]^2 + 0.85 s[t-1]^2`, z from
a standard normal distribution; so r has a standard deviation of 1 (say, percent a day) all in all. What comes next has
no direction, but its spread s[t] is known from all before, and with it its true quantiles. The columns are `return` and
`sigma`, the true s; the network hears only the first. `simulated_returns.csv` is the end of it.

`simulated_oil.csv`: ten days of hours, a daily swing whose size changes from day to day, on a level that wanders.
"""

from __future__ import annotations

import argparse
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

OMEGA, ALPHA, BETA = 0.05, 0.10, 0.85
ROWS, SHORT, HOURS = 34000, 500, 240

Floats = NDArray[np.float64]


def simulate(rows: int, seed: int) -> tuple[Floats, Floats]:
    """Return returns and their true standard deviations, each `[rows]`."""
    random = np.random.default_rng(seed)
    variance, returns, sigmas = OMEGA / (1 - ALPHA - BETA), [], []
    for z in random.standard_normal(rows):
        sigmas.append(variance**0.5)
        returns.append(sigmas[-1] * z)
        variance = OMEGA + ALPHA * returns[-1] ** 2 + BETA * variance
    return np.array(returns), np.array(sigmas)


def oil(hours: int, seed: int) -> Floats:
    """Return an oil temperature by the hour, in degrees: lowest at 6, highest at 18."""
    random = np.random.default_rng(seed)
    swing = np.repeat(random.uniform(2, 5, hours // 24 + 1), 24)[:hours]
    level = 12 + np.cumsum(0.15 * random.standard_normal(hours))
    return np.asarray(level - swing * np.sin(2 * np.pi * np.arange(hours) / 24) + 0.2 * random.standard_normal(hours))


def main() -> None:
    """Parse, simulate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the three files")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=int, default=ROWS, help="of returns.csv (default: %(default)s)")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    table = np.column_stack(simulate(args.rows, args.seed))
    for name, part in (("returns.csv", table), ("simulated_returns.csv", table[-SHORT:])):
        np.savetxt(args.out / name, part, "%.5f", delimiter=",", header="return,sigma", comments="")
    begin = datetime(2030, 1, 1)
    lines = [f"{begin + timedelta(hours=hour)},{value:.2f}\n" for hour, value in enumerate(oil(HOURS, args.seed))]
    (args.out / "simulated_oil.csv").write_text("time,OT\n" + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
