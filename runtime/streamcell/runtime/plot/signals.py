"""What a model hears, kept for a picture."""

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.manifest import InputSpec
from streamcell.runtime.plot.columns import Columns, Strip
from streamcell.runtime.plot.mel import BANDS, FRAMES, LogMel
from streamcell.runtime.plot.scene import Panel
from streamcell.runtime.sense import channel_names

__all__ = ["Signals"]


class Signals:
    """Collect sound, or the rows of a sensor's channels.

    Args:
        spec: The model's input.
        sample_rate: Of the source in Hz.
        window: Seconds; what lies outside is left out.

    Attributes:
        top: Hz, where the spectrogram of sound ends: no higher than the model hears.
    """

    def __init__(self, spec: InputSpec, sample_rate: int, window: tuple[float, float]) -> None:
        self._spec, self._count, self._frames = spec, 0, 0
        self._low = Columns("min", spec.channels, 1 / sample_rate, window)
        self._high = Columns("max", spec.channels, 1 / sample_rate, window)
        self.top = min(sample_rate, spec.sample_rate) / 2
        self._mel = LogMel(sample_rate, self.top) if spec.kind == "audio" else None
        self._levels = Columns("max", BANDS, 1 / FRAMES, window)

    def add(self, samples: NDArray[np.floating]) -> None:
        """Take the next samples `[n]` or rows `[n, channels]`; what is not finite is nothing."""
        samples = np.where(np.isfinite(samples), samples, np.nan)
        rows = samples.reshape(len(samples), self._spec.channels)
        self._low.add(self._count, rows)
        self._high.add(self._count, rows)
        self._count += len(rows)
        if self._mel is not None:
            self._add_levels(self._mel.push(samples))

    def skip(self, samples: int) -> None:
        """Leave out samples that were lost."""
        self._count += samples

    def flush(self) -> None:
        """End."""
        if self._mel is not None:
            self._add_levels(self._mel.flush())

    @property
    def mel(self) -> Strip | None:
        """Return the spectrogram of sound."""
        return None if self._mel is None else self._levels.strip

    @property
    def panels(self) -> tuple[Panel, ...]:
        """Return the signals; channels of one unit share a panel."""
        low, high, units = self._low.strip, self._high.strip, self._spec.units
        if self._mel is not None:
            return (Panel("amplitude", (), low, high),)
        names = channel_names(self._spec)
        panels = []
        for unit in dict.fromkeys(units or [""]):
            places = [index for index in range(len(names)) if not units or units[index] == unit]
            chosen = tuple(names[index] for index in places)
            panels.append(Panel(unit or "value", chosen, _only(low, places), _only(high, places)))
        return tuple(panels)

    def _add_levels(self, levels: NDArray[np.float64]) -> None:
        self._levels.add(self._frames, levels)
        self._frames += len(levels)


def _only(strip: Strip, columns: list[int]) -> Strip:
    return Strip(strip.start, strip.step, strip.values[:, columns])
