"""What every decoder does: from a model's answers, as they come, to segments."""

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.errors import InputError, ModelError
from streamcell.runtime.events import Segment
from streamcell.runtime.frames import Frames
from streamcell.runtime.schema import read
from streamcell.runtime.wire import pack, unpack

__all__ = ["LARGEST", "Decoder"]

LARGEST = 1 << 53
"""A saved number of a frame or segment is below this."""

_VERSION = 1


class Decoder(ABC):
    """Turn frames into segments; `push` is `read`, which needs no memory and may serve many streams, then `take`.

    Finals are the same for any cutting of the frames.

    Attributes:
        settings: What it was made with, a dataclass; decoders of equal settings decode alike.
    """

    settings: Any
    _kind: ClassVar[str]  # the word before what is saved
    _saved: ClassVar[type[Any]]  # dataclass of the attributes that are saved, without their underscores
    _seconds: float  # length of a frame
    _next: int | None  # frame expected next
    _origin: float  # time of frame 0
    _count: int  # segments so far

    @property
    def settled(self) -> float:
        """Return the time (seconds) before which no segment will begin any more; -inf before the first frame."""
        return -math.inf if self._next is None else self._earliest(self._next)

    @property
    def wait(self) -> float:
        """Return how many seconds are heard behind a segment, at most, until it is final.

        It is inf where that depends on what follows. Two labels that share a stretch (see `GreedyCTC`) may take longer.
        """
        return math.inf

    def follows(self, first: int, origin: float) -> bool:
        """Tell whether frames from ``first`` on, counted from ``origin`` seconds, may come next."""
        return self._next is None or (self._next <= first and self._origin == origin)

    @abstractmethod
    def read(self, values: NDArray[np.float32]) -> list[Any]:
        """Return what `take` needs of each row of `values [N, C]`.

        Raises:
            InputError: If the shape does not fit.
            ModelError: If there are values that are not finite.
        """

    @abstractmethod
    def take(self, first: int, origin: float, items: list[Any]) -> list[Segment]:
        """Hear frames ``first``, ... counted from ``origin`` seconds, as `read` gave them; return what became final.

        Raises:
            InputError: If the frames do not come in order.
        """

    @abstractmethod
    def partial(self) -> list[Segment]:
        """Return the segments that go on, as far as they are known."""

    def push(self, frames: Frames) -> list[Segment]:
        """Take the next frames; return what became final, then what goes on.

        Where ``frames.first`` is later than expected (samples were skipped), what goes on ends there.

        Args:
            frames: `[T, C]`, T from 0, C as many as labels.

        Raises:
            InputError: If the shape does not fit, or the frames do not come in order.
            ModelError: If there are values that are not finite.
        """
        if not len(frames.values):
            return []
        return [*self.take(frames.first, frames.origin, self.read(frames.values)), *self.partial()]

    def flush(self, end_time: float) -> list[Segment]:
        """End the frames at ``end_time`` (seconds); return what was not final. What follows may begin anywhere."""
        found = [] if self._next is None else self._close(self._next, end_time)
        self._begin()
        return found

    def reset(self) -> None:
        """Forget everything, the count of segments too: be as fresh."""
        self._count = 0
        self._begin()

    def to_bytes(self) -> bytes:
        """Return everything as bytes, for `restore`."""
        saved = asdict(self._saved(*(getattr(self, f"_{field.name}") for field in fields(self._saved))))
        meta = {"version": _VERSION, "settings": asdict(self.settings), "saved": saved}
        return pack(self._kind, meta, self._arrays())

    def restore(self, data: bytes) -> None:
        """Go on exactly where `to_bytes` was called, on a decoder of the same settings.

        Raises:
            InputError: If the bytes are damaged, of another kind or version, or of other settings.
        """
        meta, arrays = unpack(data, self._kind)
        if meta.get("version") != _VERSION:
            raise InputError(f"expected a saved {self._kind!r} of version {_VERSION}, got {meta.get('version')!r}")
        try:
            if read(type(self.settings), meta["settings"], "settings") != self.settings:
                raise InputError(f"a saved {self._kind!r} is damaged: its settings are others than the model's")
            saved = read(self._saved, meta["saved"], "saved")
            self._check(saved, arrays)
        except (KeyError, TypeError, ValueError, ArithmeticError, ModelError) as error:
            raise InputError(f"a saved {self._kind!r} is damaged: {error!r}") from error
        for field in fields(saved):
            value = getattr(saved, field.name)
            setattr(self, f"_{field.name}", list(value) if isinstance(value, tuple) else value)

    def _begin(self) -> None:
        self._next = None
        self._origin = 0.0
        self._clear(0)

    def _join(self, first: int, origin: float) -> list[Segment]:
        """Fit new frames to those before; return the segments that a hole between them ends."""
        if not self.follows(first, origin):
            raise InputError(
                f"expected frame {self._next} counted from {self._origin} s, got frame {first} counted from "
                f"{origin} s; flush() before frames that do not follow"
            )
        found = [] if self._next is None else self._close(self._next, self._time(self._next))
        self._origin = origin
        self._clear(first)
        return found

    @abstractmethod
    def _earliest(self, end: int) -> float:
        """Return `settled`, now that the frames before ``end`` are known."""

    @abstractmethod
    def _close(self, end: int, end_time: float) -> list[Segment]:
        """End everything at ``end_time`` (seconds), behind the frame before ``end``; return what was not final."""

    @abstractmethod
    def _clear(self, first: int) -> None:
        """Forget the frames before ``first``, where a beginning or a hole is."""

    @abstractmethod
    def _check(self, saved: Any, arrays: dict[str, NDArray[Any]]) -> None:
        """Raise `ValueError` where what was saved cannot be gone on from; take over the arrays."""

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is saved as arrays."""
        return {}

    def _time(self, frame: int) -> float:
        return self._origin + frame * self._seconds
