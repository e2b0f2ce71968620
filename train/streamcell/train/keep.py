"""What a run folder holds of its best network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from streamcell.train import checkpoint
from streamcell.train.columns import Columns
from streamcell.train.task import Score


def keep_best(
    out: Path, weights: dict[str, Tensor], text: str, columns: Columns, score: Score, facts: Mapping[str, Any]
) -> None:
    """Write `best.pt`, `validation.json` and `confusions.png` into the run folder `out`.

    Args:
        out: the folder.
        weights: of the network that was scored.
        text: of its recipe.
        columns: what goes in and comes out.
        score: of the validation data.
        facts: what else the figures say, e.g. after how many updates.
    """
    figures = {"validation_error_rate": round(score.rate, 4), **facts, **score.figures()}
    checkpoint.save_best(out / "best.pt", weights, text, columns, figures)
    groups = {name: round(rate, 4) for name, rate in sorted(score.groups().items())}
    (out / "validation.json").write_text(json.dumps({**figures, "groups": groups}, indent=1), encoding="utf-8")
    score.draw(out / "confusions.png")
