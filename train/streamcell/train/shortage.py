"""When memory runs out: said in words, with what to lower."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from streamcell.runtime.errors import StreamcellError

_SIGNS = (
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "can't start new thread",
    "failed to map segment",  # of a module that is only loaded where it is first used
)
_BARE_SIGNS = ("could not create a primitive",)  # oneDNN; longer messages of it mean something else
_HUNGRY = ("train.lanes", "train.chunk_steps", "model.hidden", "model.layers")
"""The keys of a recipe that memory grows with, the most telling first."""


class ShortageError(StreamcellError):
    """There was not enough memory, of the machine or of its GPU."""


@contextmanager
def explain_shortage(advice: Callable[[], str]) -> Iterator[None]:
    """Turn every form of running out of memory into a `ShortageError` that ends with what `advice` says then."""
    try:
        yield
    except (MemoryError, RuntimeError, ImportError) as error:
        gpu = isinstance(error, torch.OutOfMemoryError)
        said = str(error).lower()
        told = said in _BARE_SIGNS or any(sign in said for sign in _SIGNS)
        if not (gpu or told or isinstance(error, MemoryError)):
            raise
        raise ShortageError(f"out of memory on the {'GPU' if gpu else 'CPU'}; {advice()}") from error


def what_to_lower(recipe: Any) -> str:
    r"""Return the settings of `recipe` that memory grows with, and their values.

    >>> from streamcell.train.recipe import parse_recipe
    >>> text = 'task = "phonemes"\nname = "tiny"\n[data]\ncorpora = [{path = "speech"}]\n'
    >>> what_to_lower(parse_recipe(text))
    'train.lanes (32), train.chunk_steps (128), model.hidden (320) or model.layers (3)'
    """
    tables = [(key, getattr(recipe, key.split(".")[0], None), key.split(".")[1]) for key in _HUNGRY]
    found = [f"{key} ({getattr(table, name)})" for key, table, name in tables if hasattr(table, name)]
    return " or ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)
