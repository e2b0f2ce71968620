"""What files, ports and brokers that give lines of readings have in common: they are iterated, and closed."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Self

from streamcell.runtime.errors import SourceError
from streamcell.runtime.sources.line_parser import LineParser
from streamcell.runtime.sources.readings import Readings

__all__ = ["LineSource"]


class LineSource(ABC):
    """Give readings until the source ends or is closed.

    Args:
        parser: What makes readings of the source's bytes.
    """

    def __init__(self, parser: LineParser) -> None:
        self._parser = parser
        self._closed = False
        self._readings = self._until_closed()

    @property
    def skipped(self) -> int:
        """How many lines were left out."""
        return self._parser.skipped

    @property
    def skipped_lines(self) -> list[int]:
        """The numbers of the first ten of them, counted from 1."""
        return self._parser.skipped_lines

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Readings]:
        return self._readings

    def close(self) -> None:
        """End the iteration, and close what was opened here; closing again does nothing."""
        self._closed = True
        self._shut()

    @abstractmethod
    def _pull(self) -> Iterator[Readings]:
        """Wait for readings; yield them."""

    @abstractmethod
    def _shut(self) -> None:
        """Close what was opened here, from any thread."""

    def _until_closed(self) -> Iterator[Readings]:
        try:
            for readings in self._pull():
                if self._closed:
                    return
                yield readings
        except SourceError:
            if not self._closed:
                raise
