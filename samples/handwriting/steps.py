"""Turn a stroke file of Omniglot, or of any pen that writes such, into the steps that the model hears.

    python samples/handwriting/steps.py samples/handwriting/drawing.txt --out drawing.csv

The file has `START`, then a line `x,y,milliseconds` a point (y up, on a sheet of 105 by 105), and `BREAK` after each
stroke.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from streamcell.train.data.strokes import CHANNELS, parse_strokes, to_steps


def main() -> None:
    """Parse, turn, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drawing", type=Path, help="the stroke file")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file to write")
    args = parser.parse_args()
    steps = to_steps(parse_strokes(args.drawing.read_text(encoding="ascii"), str(args.drawing)))
    np.savetxt(args.out, steps, "%.4f", delimiter=",", header=",".join(CHANNELS), comments="")


if __name__ == "__main__":
    main()
