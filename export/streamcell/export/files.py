"""What the commands of this part read and write: recordings for a proof, and a file that is whole or not there."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from streamcell.runtime.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["add_audio", "check_target", "readings", "recordings", "whole_or_nothing"]

SECONDS = 10.0  # of each recording, for the proof


def add_audio(parser: argparse.ArgumentParser) -> None:
    """Declare ``--audio``, the recordings of a proof."""
    parser.add_argument(
        "--audio",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="recordings to prove it on (first 10 s of each)",
    )


def check_target(path: Path, option: str = "--out") -> None:
    """Refuse, before any work, a file that cannot be written, named by ``option``.

    Raises:
        InputError: If ``path`` is a folder, or its folder does not exist.
    """
    if path.is_dir():
        raise InputError(f"{option} {path} is a folder; name the file to write, e.g. {path / 'model.onnx'}")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{option} {path}: the folder {path.parent} does not exist; make it first")


def recordings(paths: Sequence[Path], sample_rate: int) -> "Mapping[str, NDArray[np.float32]]":
    """Return the first seconds of each recording `[N]`, or of a synthetic voice if there is none, by name.

    Raises:
        SourceError: If a file cannot be read.
        InputError: If one is shorter than 1 s.
    """
    from streamcell.export.parity import synthetic

    if not paths:
        return {"synthetic voice": synthetic(SECONDS, sample_rate)}
    return {str(path): _read(path, sample_rate) for path in paths}


def _read(path: Path, sample_rate: int) -> "NDArray[np.float32]":
    from streamcell.runtime.sources import read_excerpt

    samples = read_excerpt(path, sample_rate, SECONDS)
    if len(samples) < sample_rate:
        raise InputError(f"--audio {path} has {len(samples) / sample_rate:.2f} s; expected a recording of at least 1 s")
    return samples


def readings(paths: Sequence[Path], channels: Sequence[str], sample_rate: int) -> "Mapping[str, NDArray[np.float32]]":
    """Return the first seconds of a sensor's readings in each file, `[T, channels]`, by name.

    Raises:
        SourceError: If a file cannot be read.
    """
    return {str(path): _first_readings(path, channels, round(SECONDS * sample_rate)) for path in paths}


def _first_readings(path: Path, channels: Sequence[str], count: int) -> "NDArray[np.float32]":
    import numpy as np

    from streamcell.runtime.sources import Lines

    parts: list[NDArray[np.float32]] = []
    with Lines(path, channels) as lines:
        for block in lines:
            parts.append(block.values)
            if sum(map(len, parts)) >= count:
                break
    return np.concatenate(parts)[:count]


@contextmanager
def whole_or_nothing(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; rename it to ``path`` at the end, or leave nothing behind."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
