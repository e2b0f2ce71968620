"""Leave one speaker out: train on the others as the recipe says, hear the one; six trainings.

    python samples/digits/score.py --data DATA --out runs/digits-folds

Prints for each speaker the share of digits that were recognised, by the answer at each recording's end. The network of
each fold is chosen by held takes of the speakers that it heard. Folds that are there already are not trained again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from streamcell.train.scoring import joined, score_fold

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")


def main() -> None:
    """Parse, train, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that speech/fsdd is in")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs, score.json and confusions.png")
    parser.add_argument("--speakers", nargs="+", choices=SPEAKERS, default=SPEAKERS)
    args = parser.parse_args()
    text = (Path(__file__).parent / "recipe.toml").read_text(encoding="utf-8")
    scores = {}
    for speaker in args.speakers:
        recipe = text.replace("test_groups = []", f'test_groups = ["{speaker}"]')
        scores[speaker] = score_fold(recipe, args.data, args.out / speaker)
        print(f"{speaker:9} {100 * (1 - scores[speaker].rate):5.1f}% of {len(scores[speaker].true)}", flush=True)
    right = {speaker: 1 - score.rate for speaker, score in scores.items()}
    print(f"{'mean':9} {100 * float(np.mean(list(right.values()))):5.1f}%")
    joined(list(scores.values())).draw(args.out / "confusions.png")
    (args.out / "score.json").write_text(json.dumps(right, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
