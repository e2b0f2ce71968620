"""From any sample rate to the model's: a stream of samples, converted without a seam."""

import math
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamcell.runtime.blocks import as_samples
from streamcell.runtime.errors import InputError, MissingExtraError, ModelError
from streamcell.runtime.schema import read
from streamcell.runtime.wire import pack, unpack

__all__ = ["Quality", "Resampler"]

Quality: TypeAlias = Literal["live", "file"]
"""``"live"``: 20 ms of delay; ``"file"``: 40 ms, and a flatter band."""

_VERSION = 1
_SOXR = {"live": "LQ", "file": "HQ"}
_MAX_RATE = 1 << 20
_MEMORY = 0.5  # seconds of source; soxr's filters need far less, but at low rates the next decides
_MEMORY_SAMPLES = 4096  # at the lower of the rates; soxr was seen to lag up to 1000
_MAX_BLOCKS = 1000
_LARGEST = 1 << 53  # saved count of samples


@dataclass(frozen=True, slots=True)
class _Saved:
    """What is saved besides the recent samples."""

    version: int
    source_rate: int
    target_rate: int
    quality: Quality
    taken: int
    given: int
    flushed: bool


class Resampler:
    """Convert a stream of samples from one rate to another.

    Sample j of what comes out, all blocks joined, is the sound at ``j / target_rate`` seconds, whatever the cutting.
    In all n samples become ``n * target_rate / source_rate``, rounded. Equal rates pass the samples on and need no
    package.

    Args:
        source_rate: Hz.
        target_rate: Hz.
        quality: `Quality`.

    Raises:
        InputError: If a rate or the quality is unknown.
        MissingExtraError: If the rates differ and soxr is not installed.

    Examples:
        >>> resampler = Resampler(48000, 16000)
        >>> blocks = [resampler.push(np.zeros(480, np.float32)) for _ in range(10)]
        >>> sum(map(len, blocks)) + len(resampler.flush())
        1600
    """

    _flushed: bool

    def __init__(self, source_rate: int, target_rate: int, quality: Quality = "live") -> None:
        if quality not in _SOXR:
            raise InputError(f"quality must be 'live' or 'file', got {quality!r}")
        self._source, self._target, self._quality = _rate(source_rate), _rate(target_rate), quality
        self._stream: Any = None
        if self._source != self._target:
            self._stream = _soxr().ResampleStream(self._source, self._target, 1, "float32", _SOXR[quality])
        self._begin()

    @property
    def source_rate(self) -> int:
        """Return the rate of what is pushed, in Hz."""
        return self._source

    @property
    def converts(self) -> bool:
        """Tell whether the rates differ; if not, nothing is counted."""
        return self._stream is not None

    @property
    def taken(self) -> int:
        """Return how many samples came in since the beginning."""
        return self._taken

    @property
    def given(self) -> int:
        """Return how many samples went out since the beginning."""
        return self._given

    @property
    def quality(self) -> Quality:
        """Return the quality that was asked for."""
        return self._quality

    def push(self, block: ArrayLike) -> NDArray[np.float32]:
        """Take the next samples; return those that are ready, a view of ``block`` where nothing had to be changed.

        Args:
            block: `[n]`, n from 0; see `streamcell.runtime.blocks.as_samples`.

        Raises:
            InputError: If the block does not fit, or `flush` was called and `reset` was not.
        """
        samples = as_samples(block)
        if self._flushed:
            raise InputError("the stream was flushed and has ended; call reset() before pushing more")
        if self._stream is None or not samples.size:
            return samples
        self._remember(samples)
        return self._give(self._stream.resample_chunk(samples))

    def flush(self) -> NDArray[np.float32]:
        """End the stream; return what the filters still held. A second call returns nothing."""
        nothing = np.zeros(0, np.float32)
        if self._flushed:
            return nothing
        self._flushed = True
        return nothing if self._stream is None else self._give(self._stream.resample_chunk(nothing, last=True))

    def reset(self) -> None:
        """Forget everything: be as fresh."""
        if self._stream is not None:
            self._stream.clear()
        self._begin()

    def to_bytes(self) -> bytes:
        """Return the state as bytes: two counters and about half a second of the source."""
        meta = {
            "version": _VERSION,
            "source_rate": self._source,
            "target_rate": self._target,
            "quality": self._quality,
            "taken": self._taken,
            "given": self._given,
            "flushed": self._flushed,
        }
        return pack("resampler", meta, {"recent": self._history()})

    @classmethod
    def from_bytes(cls, data: bytes) -> "Resampler":
        """Go on where `to_bytes` was called: the samples are the same within about 1e-7.

        soxr shows nothing of its state, so a new stream hears the recent samples again, from a time that is a whole
        number of samples at both rates.

        Raises:
            InputError: If the bytes are damaged, of another kind or version.
        """
        meta, arrays = unpack(data, "resampler")
        if meta.get("version") != _VERSION:
            raise InputError(f"expected a saved resampler of version {_VERSION}, got {meta.get('version')!r}")
        try:
            saved = read(_Saved, meta, "resampler")
            resampler = cls(saved.source_rate, saved.target_rate, saved.quality)
            resampler._prime(saved.taken, saved.given, as_samples(arrays["recent"]))
            resampler._flushed = saved.flushed
        except (KeyError, ValueError, ModelError) as error:
            raise InputError(f"a saved resampler is damaged: {error!r}") from error
        return resampler

    def _begin(self) -> None:
        self._taken = self._given = 0  # samples in and out
        self._recent: list[NDArray[np.float32]] = []
        self._held = 0  # samples in _recent
        self._early = np.zeros(0, np.float32)  # after from_bytes: given to us sooner than to the stream that was saved
        self._skip = 0  # after from_bytes: samples still to come that were given before
        self._flushed = False

    def _give(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._early.size:
            samples, self._early = np.concatenate([self._early, samples]), self._early[:0]
        if self._skip:
            skipped = min(self._skip, len(samples))
            samples, self._skip = samples[skipped:], self._skip - skipped
        self._given += len(samples)
        return samples

    @property
    def _period(self) -> int:
        """Return the shortest run of source samples that is a whole number of target samples."""
        return self._source // math.gcd(self._source, self._target)

    @property
    def _memory(self) -> int:
        """Return how many source samples the filters may still need, several times over."""
        return int(max(_MEMORY * self._source, _MEMORY_SAMPLES * max(1.0, self._source / self._target)))

    def _remember(self, samples: NDArray[np.float32]) -> None:
        """Keep enough of the source for `to_bytes`, joined now and then so that memory and time stay flat."""
        self._taken += len(samples)
        enough = self._memory + self._period
        if len(samples) >= enough:
            self._recent, self._held = [], 0
        self._recent.append(samples[-enough:].copy())
        self._held += min(len(samples), enough)
        if self._held > 2 * enough or len(self._recent) > _MAX_BLOCKS:
            self._recent = [self._history()]
            self._held = len(self._recent[0])

    def _history(self) -> NDArray[np.float32]:
        """Return the last source samples from a whole number of periods on."""
        joined = np.concatenate([np.zeros(0, np.float32), *self._recent])
        begin = self._taken - len(joined)
        wanted = max(0, self._taken - self._memory) // self._period * self._period
        return joined[max(0, wanted - begin) :].copy()

    def _prime(self, taken: int, given: int, recent: NDArray[np.float32]) -> None:
        if not 0 <= min(taken, given) <= max(taken, given) < _LARGEST:
            raise ValueError(f"{taken} samples in and {given} out")
        self._taken, self._given = taken, given
        if self._stream is None:
            return
        periods, rest = divmod(taken - len(recent), self._period)
        if rest or periods < 0:
            raise ValueError(f"{len(recent)} samples do not end at sample {taken}")
        self._recent, self._held = [recent], len(recent)
        again = self._stream.resample_chunk(recent)
        skip = given - periods * self._period * self._target // self._source
        if not 0 <= skip <= len(again) + self._memory:
            raise ValueError(f"{taken} samples in cannot have become {given}")
        self._early, self._skip = again[skip:].copy(), max(0, skip - len(again))


def _rate(rate: int) -> int:
    if isinstance(rate, bool) or not isinstance(rate, int | np.integer) or not 0 < rate <= _MAX_RATE:
        raise InputError(f"a sample rate must be a whole number of Hz from 1 to {_MAX_RATE}, got {rate!r}")
    return int(rate)


def _soxr() -> Any:
    try:
        return import_module("soxr")
    except ImportError as error:
        raise MissingExtraError("soxr", "audio", "to convert sample rates") from error
