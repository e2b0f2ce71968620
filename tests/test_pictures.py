"""Pictures and films become steps: what is shown at a step's middle, values from 0 to 1."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from streamcell.runtime.errors import InputError, MissingExtraError, SourceError
from streamcell.runtime.sources.pictures import as_pictures, load_array, read_pictures

SIZE = (6, 4, 3)


def film(count: int = 5, size: tuple[int, ...] = SIZE, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (count, *size)).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff"])
def test_a_picture_of_a_file_is_the_array(tmp_path: Path, suffix: str) -> None:
    picture = film(1)[0]
    Image.fromarray(picture).save(tmp_path / f"a{suffix}")
    np.save(tmp_path / "a.npy", picture)
    expected = picture.reshape(1, -1).astype(np.float32) / 255
    np.testing.assert_array_equal(read_pictures(tmp_path / f"a{suffix}", SIZE), expected)
    np.testing.assert_array_equal(read_pictures(tmp_path / "a.npy", SIZE), expected)


def test_colours_become_grey_and_grey_colours(tmp_path: Path) -> None:
    grey = film(1, (6, 4))[0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_pictures(tmp_path / "grey.png", (6, 4, 1))[0] * 255, grey.ravel())
    coloured = read_pictures(tmp_path / "grey.png", SIZE).reshape(6, 4, 3)
    np.testing.assert_array_equal(coloured[..., 0], coloured[..., 2])


@pytest.mark.parametrize(
    ("rate", "steps"), [(10, [0, 0, 0, 1, 2, 2]), (20, [0] * 6 + [1] * 2 + [2] * 4), (1, [0, 1, 2])]
)
def test_a_film_is_sampled_at_the_middles_of_steps(tmp_path: Path, rate: int, steps: list[int]) -> None:
    pictures = [Image.fromarray(np.full((6, 4), shade, np.uint8)) for shade in (0, 100, 200)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=[300, 100, 200], loop=0)
    found = read_pictures(tmp_path / "a.gif", (6, 4, 1), rate)
    assert [round(float(one)) for one in found[:, 0] * 255] == [step * 100 for step in steps]


def test_pictures_that_stay_the_same_keep_their_time(tmp_path: Path) -> None:
    """Pillow joins equal pictures of a GIF into a longer one."""
    shades = [0, 0, 0, 90, 90, 0]
    pictures = [Image.fromarray(np.full((6, 4), shade, np.uint8)) for shade in shades]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=100)
    found = read_pictures(tmp_path / "a.gif", (6, 4, 1), 10)
    assert [round(float(one)) for one in found[:, 0] * 255] == shades


def test_arrays_of_all_shapes_and_types() -> None:
    pictures = film()
    expected = pictures.reshape(5, -1) / np.float32(255)
    np.testing.assert_array_equal(as_pictures(pictures, SIZE), expected)
    np.testing.assert_array_equal(as_pictures(expected.reshape(pictures.shape), SIZE), expected)
    np.testing.assert_array_equal(as_pictures(expected.reshape(pictures.shape).astype(np.float64), SIZE), expected)
    assert as_pictures(film(5, (6, 4)), (6, 4, 1)).shape == (5, 24)
    assert as_pictures(film(1, (6, 4))[0], (6, 4, 1)).shape == (1, 24)
    assert as_pictures(np.zeros((0, 6, 4), np.uint8), (6, 4, 1)).shape == (0, 24)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 6, 3), np.uint8), r"pictures of 6 rows, 4 columns and 3 colour.*got \[4, 6, 3\]"),
        (np.zeros((6, 4), np.uint8), "6 rows"),
        (np.zeros(SIZE, np.int64), "uint8, or of floats from 0 to 1; got int64"),
        (np.full(SIZE, 255.0), "got 255 to 255; divide by the full scale"),
        (np.full(SIZE, np.nan), "from 0 to 1, got nan"),
        (np.full(SIZE, -0.1), "from 0 to 1, got -0.1"),
    ],
)
def test_other_arrays_are_refused(array: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        as_pictures(array, SIZE)


def test_another_size_is_refused_or_averaged_when_asked(tmp_path: Path) -> None:
    large = np.repeat(np.repeat(film(1)[0], 2, axis=0), 2, axis=1)
    Image.fromarray(large).save(tmp_path / "large.png")
    with pytest.raises(
        InputError, match=r"large.png: expected a picture of 6 rows and 4 columns, got 12 and 8; --resize"
    ):
        read_pictures(tmp_path / "large.png", SIZE)
    found = read_pictures(tmp_path / "large.png", SIZE, resize=True)
    np.testing.assert_array_equal(found[0], film(1)[0].ravel() / np.float32(255))


def test_what_is_no_picture_is_said(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "text.npy").write_text("no array")
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    Image.fromarray(film(1)[0]).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:60])
    Image.fromarray(np.zeros((6, 4), np.uint16)).save(tmp_path / "deep.png")
    for name, words in (
        ("text.png", "text.png is no picture that can be read"),
        ("cut.png", "cut.png is no picture that can be read"),
        ("text.npy", "text.npy is no array that numpy saved"),
        ("objects.npy", "objects.npy is no array that numpy saved"),
        ("none.png", "no such file"),
        ("", "is a folder"),
    ):
        with pytest.raises(SourceError, match=words):
            read_pictures(tmp_path / name, SIZE)
    with pytest.raises(InputError, match=r"8 bits a colour, got Pillow's mode I;16"):
        read_pictures(tmp_path / "deep.png", SIZE)
    with pytest.raises(InputError, match="of 2 colours"):
        read_pictures(_png(tmp_path), (6, 4, 2))
    with pytest.raises(SourceError, match="is no array"):
        load_array(tmp_path / "none.npy")


def _png(folder: Path) -> Path:
    Image.fromarray(film(1)[0]).save(folder / "good.png")
    return folder / "good.png"


def test_a_film_of_hours_is_refused(tmp_path: Path) -> None:
    pictures = [Image.fromarray(np.full((6, 4), shade, np.uint8)) for shade in range(80)]
    pictures[0].save(tmp_path / "long.gif", save_all=True, append_images=pictures[1:], duration=60_000)
    with pytest.raises(InputError, match="lasts 4800 s"):
        read_pictures(tmp_path / "long.gif", (6, 4, 1), 25)


def test_pillow_that_is_missing_is_named_and_npy_needs_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "a.npy", film())
    path = _png(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert read_pictures(tmp_path / "a.npy", SIZE).shape == (5, 72)
    with pytest.raises(MissingExtraError, match=r"pip install 'streamcell\[images\]'"):
        read_pictures(path, SIZE)
