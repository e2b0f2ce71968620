"""What every decoder does: from a model's answers, as they come, to segments."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.events import Segment
from streamcell.runtime.frames import Frames

__all__ = ["Decoder"]


class Decoder(Protocol):
    """Turn frames into segments; `push` is `read`, which needs no memory and may serve many streams, then `take`."""

    @property
    def settings(self) -> Any:
        """Return what it was made with; decoders of equal settings decode alike."""

    @property
    def settled(self) -> float:
        """Return the time (seconds) before which no segment will begin any more; -inf before the first frame."""

    def follows(self, first: int, origin: float) -> bool:
        """Tell whether frames from ``first`` on, counted from ``origin`` seconds, may come next."""

    def read(self, values: NDArray[np.float32]) -> list[Any]:
        """Return what `take` needs of each row of `values [N, C]`."""

    def take(self, first: int, origin: float, items: list[Any]) -> list[Segment]:
        """Hear frames ``first``, ... counted from ``origin`` seconds, as `read` gave them; return what became final."""

    def partial(self) -> list[Segment]:
        """Return the segments that go on, as far as they are known."""

    def push(self, frames: Frames) -> list[Segment]:
        """Take the next frames; return what became final, then what goes on."""

    def flush(self, end_time: float) -> list[Segment]:
        """End the frames at ``end_time`` (seconds); return what was not final. What follows may begin anywhere."""

    def to_bytes(self) -> bytes:
        """Return everything as bytes, for `restore`."""

    def restore(self, data: bytes) -> None:
        """Go on exactly where `to_bytes` was called, on a decoder of the same settings.

        Raises:
            InputError: If the bytes are damaged, of another kind or version, or of other settings.
        """
