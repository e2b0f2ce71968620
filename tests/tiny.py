"""Recipes that train or export in no time, and data for one of them."""

from pathlib import Path

PHONEMES = """
task = "phonemes"
name = "tiny"
[data]
corpora = [{path = "speech"}]
[model]
channels = 8
hidden = 16
"""
"""Its model may be told more behind the end."""

STEPS = """
task = "sensor"
name = "steps"
[data]
format = "recordings"
path = "."
sample_rate = 50
channels = ["ax"]
validation_groups = ["b"]
[model]
hidden = 6
[train]
lanes = 2
chunk_steps = 20
updates = 3
warmup = 1
validate_every = 3
"""

_ROWS = "ax,label\n" + "".join(f"{k % 7},{'walk' if k // 20 % 2 else 'sit'}\n" for k in range(200))


def write_steps(folder: Path) -> Path:
    """Write the data of `STEPS` into a new folder; return it."""
    for group in "ab":
        (folder / group).mkdir(parents=True)
        (folder / group / "one.csv").write_text(_ROWS)
    return folder
