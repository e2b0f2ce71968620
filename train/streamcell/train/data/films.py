"""Films with a label for each picture, in one file of arrays."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import SourceError
from streamcell.train.data.recording import UNSAID, Recording, SensorData

_ARRAYS = ("pictures", "labels", "names", "groups")


def read_films(path: Path, *, image: tuple[int, int, int], sample_rate: int) -> SensorData:
    """Read films from a file that `numpy.savez` or `savez_compressed` wrote; each becomes a recording.

    Its arrays are `pictures` uint8 `[N, T, rows, columns]` or `[N, T, rows, columns, colours]`, 0 to 255; `labels`
    integers `[N, T]`, the place in `names`, -1 where nobody says; `names` text `[L]`; `groups` text `[N]`: who or what
    films share that must not be split between training and validation. A single picture is a film of one.

    Args:
        path: The file.
        image: Rows, columns and colours that the pictures must have.
        sample_rate: Pictures a second; 1 where they have no clock.

    Raises:
        SourceError: There is no such file, or its arrays are missing or do not fit each other.
    """
    found = _load(path)
    pictures, labels, names, groups = (found[name] for name in _ARRAYS)
    if pictures.ndim == 4:
        pictures = pictures[..., None]
    if pictures.dtype != np.uint8 or pictures.shape[2:] != image:
        raise SourceError(
            f"{path}: expected 'pictures' of uint8 [N, T, {', '.join(map(str, image))}] as the recipe says, got "
            f"{pictures.dtype} {list(found['pictures'].shape)}"
        )
    if labels.shape != pictures.shape[:2] or labels.dtype.kind not in "iu" or groups.shape != labels.shape[:1]:
        raise SourceError(
            f"{path}: expected integers 'labels' {list(pictures.shape[:2])} and 'groups' [{len(pictures)}] as there "
            f"are pictures, got {labels.dtype} {list(labels.shape)} and {list(groups.shape)}"
        )
    if labels.min(initial=0) < UNSAID or labels.max(initial=0) >= len(names):
        raise SourceError(f"{path}: 'labels' must be from -1 to {len(names) - 1}, got {labels.min()} to {labels.max()}")
    flat = (pictures.reshape(*labels.shape, -1) / np.float32(255)).astype(np.float32)
    recordings = (
        Recording(f"film {number}", str(group), values, row.astype(np.int64))
        for number, (group, values, row) in enumerate(zip(groups, flat, labels, strict=True))
    )
    return SensorData((), (), tuple(map(str, names)), sample_rate, tuple(recordings))


def _load(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        raise SourceError(f"expected films at {path}, found no file; give the folder that holds it as --data")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            missing = [name for name in _ARRAYS if name not in file]
            if missing:
                raise SourceError(f"{path}: expected the arrays {', '.join(_ARRAYS)}; {', '.join(missing)} missing")
            return {name: file[name] for name in _ARRAYS}
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise SourceError(f"cannot read {path} as arrays of numpy.savez: {error}") from error
