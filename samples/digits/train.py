"""Train the digit network, begun with what the phoneme model has learnt of many voices; leave one speaker out.

    python samples/digits/train.py --data DATA --out runs/digits
    python samples/digits/train.py --data DATA --out runs/digits-folds --leave-out

The first trains one network on all speakers, to be exported. The second leaves out each of the six in turn (or those
that are named), trains on the others, and prints the share of the left-out speaker's digits that were recognised, by
the answer at each recording's end. Nothing is chosen on the way: it is the network after the last update. Folds that
are there already are not trained again.

The first weights are those of `begin.npz`, see `begin.py`; all of the network is then trained as `recipe.toml` says.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import numpy as np
import torch

from streamcell.train.models import Network
from streamcell.train.recipe import parse_recipe
from streamcell.train.scoring import joined, score_fold
from streamcell.train.session import Session

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
FOLDER = Path(__file__).parent
BEGIN = FOLDER / "begin.npz"


def begin(network: Network, file: Path = BEGIN) -> None:
    """Give `network` the weights of `begin.py`; the head, which a phoneme model has for phones, is as it was drawn.

    Raises:
        RuntimeError: the weights are of another shape.
    """
    drawn = {name: value for name, value in network.state_dict().items() if name.startswith("head.")}
    with np.load(file) as weights:
        network.load_state_dict({**drawn, **{name: torch.from_numpy(weights[name]) for name in weights}})


def train(text: str, data: Path, out: Path) -> None:
    """Train as the recipe `text` says into the run folder `out`; a run that was stopped goes on."""
    resume = (out / "checkpoint.pt").exists()
    session = Session(parse_recipe(text), text, data, out, resume=resume)
    if not resume:
        begin(session.trainer.network)
    session.run()
    (out / "done").touch()


def leave_out(text: str, data: Path, out: Path, speakers: list[str]) -> None:
    """Train without each of `speakers`, print how many of their digits were recognised, draw which were mistaken."""
    scores = {}
    for speaker in speakers:
        fold = text.replace("test_groups = []", f'test_groups = ["{speaker}"]')
        if not (out / speaker / "done").exists():
            train(fold, data, out / speaker)
        scores[speaker] = score_fold(fold, data, out / speaker)
        print(f"{speaker:9} {100 * (1 - scores[speaker].rate):5.1f}% of {len(scores[speaker].true)}", flush=True)
    right = {speaker: 1 - score.rate for speaker, score in scores.items()}
    print(f"{'mean':9} {100 * float(np.mean(list(right.values()))):5.1f}%")
    joined(list(scores.values())).draw(out / "confusions.png")
    (out / "score.json").write_text(json.dumps(right, indent=1), encoding="utf-8")


def main() -> None:
    """Parse, train, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that speech/fsdd and digits-cut are in")
    parser.add_argument("--out", type=Path, required=True, help="folder for the run, or for one a speaker")
    parser.add_argument("--leave-out", nargs="*", choices=SPEAKERS, metavar="SPEAKER", help="those named, or each")
    parser.add_argument("--updates", type=int, help="other than the recipe's")
    args = parser.parse_args()
    text = (FOLDER / "recipe.toml").read_text(encoding="utf-8")
    if args.updates:
        text = re.sub(r"(?m)^(updates|validate_every) = \d+", rf"\1 = {args.updates}", text)
    if args.leave_out is None:
        train(text, args.data, args.out)
    else:
        leave_out(text, args.data, args.out, args.leave_out or list(SPEAKERS))


if __name__ == "__main__":
    main()
