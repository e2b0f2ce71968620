"""Names of what goes into a network and comes out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of what goes in and out.

    `labels` of the outputs, `channels` and `units` of features (none for audio), `symbols` of tokens.
    """

    labels: tuple[str, ...]
    channels: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
