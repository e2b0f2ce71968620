"""Pictures and films as steps of a model; files are read by Pillow, arrays by numpy alone."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamcell.runtime.errors import InputError, MissingExtraError, SourceError

__all__ = ["as_pictures", "load_array", "read_pictures"]

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_DEEP = ("I", "F")  # modes of more than 8 bits a colour, which Pillow would clip
_MOST_SECONDS = 3600.0
_MOST_NUMBERS = 1 << 28  # of a film


def as_pictures(pictures: ArrayLike, image: Sequence[int]) -> NDArray[np.float32]:
    """Check one picture or many and return them as a model takes them: float32 `[n, rows * columns * colours]`.

    Args:
        pictures: `[rows, columns, colours]` or `[n, rows, columns, colours]`, of one colour also without that axis:
            uint8, or float32 or float64 from 0 to 1.
        image: Rows, columns and colours of the model.

    Raises:
        InputError: If the size, type or range is another.

    Examples:
        >>> as_pictures(np.full((2, 2), 255, np.uint8), (2, 2, 1)).tolist()
        [[1.0, 1.0, 1.0, 1.0]]
    """
    array = np.asarray(pictures)
    size = tuple(image)
    sizes = (size, size[:2]) if size[2] == 1 else (size,)
    if array.shape not in sizes and array.shape[1:] not in sizes:
        raise InputError(f"expected pictures of {_words(size)}, [n, rows, columns, colours]; got {list(array.shape)}")
    rows = array.reshape(-1, math.prod(size))
    if array.dtype == np.uint8:
        return rows.astype(np.float32) / np.float32(255)
    if array.dtype not in (np.float32, np.float64):
        raise InputError(f"expected pictures of uint8, or of floats from 0 to 1; got {array.dtype}")
    if rows.size and not (rows.min() >= 0 and rows.max() <= 1):
        raise InputError(
            f"expected pictures from 0 to 1, got {rows.min():g} to {rows.max():g}; divide by the full scale, e.g. 255"
        )
    return np.ascontiguousarray(rows, np.float32)


def read_pictures(
    path: str | Path, image: Sequence[int], sample_rate: int = 1, *, resize: bool = False
) -> NDArray[np.float32]:
    """Read a picture or film as a model takes it: float32 `[n, rows * columns * colours]`.

    A GIF or another animation is a film: each picture lasts as long as the file says, and at ``sample_rate`` above 1 a
    step has the one that is shown in its middle. At 1, which is no clock, and where the file gives no times, each
    picture is a step.

    Args:
        path: A file that Pillow reads (PNG, JPEG, GIF, ...), or ``.npy`` that `as_pictures` takes.
        image: Rows, columns and colours of the model. Pictures become grey or coloured as it wants.
        sample_rate: Pictures a second of the model.
        resize: Whether pictures of another size are fitted by averaging, instead of refused.

    Raises:
        InputError: If the size is another.
        SourceError: If there is no such file, or it is no picture.
        MissingExtraError: If Pillow is needed and not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise SourceError(f"{path} is a folder; name a picture" if path.is_dir() else f"no such file: {path}")
    try:
        if path.suffix.lower() == ".npy":
            return as_pictures(load_array(path), image)
        return _read(path, tuple(image), sample_rate, resize=resize)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def load_array(path: str | Path) -> NDArray[Any]:
    """Read an array that numpy saved, never anything that could run.

    Raises:
        SourceError: If there is no such file, or it is no array.
    """
    try:
        array: NDArray[Any] = np.load(path, allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise SourceError(f"{path} is no array that numpy saved: {error}") from error
    return array


def _read(path: Path, image: tuple[int, ...], sample_rate: int, *, resize: bool) -> NDArray[np.float32]:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("Pillow", "images", "to read pictures other than .npy") from error
    wrong = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError, Image.DecompressionBombWarning)
    try:
        with Image.open(path) as file:
            shown = [(_pixels(frame, image, resize=resize), seconds) for frame, seconds in _frames(file)]
    except InputError:
        raise
    except wrong as error:
        raise SourceError(f"{path} is no picture that can be read: {error}") from error
    return as_pictures(_on_clock(shown, sample_rate), image)


def _frames(file: Any) -> Iterator[tuple[Any, float]]:
    """Yield each picture, with how many seconds it is shown: 0 where the file does not say."""
    for number in range(getattr(file, "n_frames", 1)):
        file.seek(number)
        yield file, float(file.info.get("duration", 0) or 0) / 1000


def _pixels(picture: Any, image: tuple[int, ...], *, resize: bool) -> NDArray[np.uint8]:
    """Return `[rows, columns, colours]`."""
    rows, columns, colours = image
    if picture.mode.split(";")[0] in _DEEP:
        raise InputError(f"expected 8 bits a colour, got Pillow's mode {picture.mode}; convert it first")
    if colours not in _MODES:
        raise InputError(f"the model takes pictures of {colours} colours, which no picture file has; use .npy")
    converted = picture.convert(_MODES[colours])
    if converted.size != (columns, rows):
        if not resize:
            width, height = converted.size
            raise InputError(
                f"expected a picture of {rows} rows and {columns} columns, got {height} and {width}; "
                "--resize (resize=True) fits it"
            )
        converted = converted.resize((columns, rows), 4)  # box: averages
    return np.asarray(converted, np.uint8).reshape(rows, columns, colours)


def _on_clock(shown: list[tuple[NDArray[np.uint8], float]], sample_rate: int) -> NDArray[np.uint8]:
    """Return what each step shows, `[n, rows, columns, colours]`."""
    pictures = np.stack([pixels for pixels, _ in shown])
    ends = np.cumsum([seconds for _, seconds in shown])
    if sample_rate == 1 or not all(seconds > 0 for _, seconds in shown):
        return pictures
    steps = max(1, round(float(ends[-1]) * sample_rate))
    if ends[-1] > _MOST_SECONDS or steps * pictures[0].size > _MOST_NUMBERS:
        raise InputError(f"the film lasts {ends[-1]:g} s, {steps} steps of the model; cut it")
    middles = (np.arange(steps) + 0.5) / sample_rate
    places = np.searchsorted(ends, middles, side="right")
    return pictures[np.minimum(places, len(pictures) - 1)]


def _words(image: tuple[int, ...]) -> str:
    return "{} rows, {} columns and {} colour(s)".format(*image)
