"""One recording on its way: read ahead in a thread, heard with others, written in a thread."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime.batch.job import Job, Outcome, Task
from streamcell.runtime.batch.outputs import WriteError, write_results
from streamcell.runtime.batch.record import Record
from streamcell.runtime.events import Event, Segment, is_final
from streamcell.runtime.formats import Transcript, relabel
from streamcell.runtime.model import Model
from streamcell.runtime.phones import to_ipa
from streamcell.runtime.rows import Row, Rows
from streamcell.runtime.sources import AudioFile
from streamcell.runtime.stream import Stream

__all__ = ["Lane"]

_Block = NDArray[np.float32]


class Lane:
    """Read a recording one block ahead, keep its stream and its events, write its result.

    Args:
        task: Which recording.
        job: What to do.
        threads: Where files are read.

    Attributes:
        task: As given.
        row: Its row among the states of all, once it was given one.
        ended: Whether all blocks were taken.
    """

    row: int
    stream: Stream

    def __init__(self, task: Task, job: Job, threads: Executor) -> None:
        self.task, self.ended = task, False
        self._job, self._threads, self._record, self._segments = job, threads, Record(), 0
        self._audio: AudioFile | None = None
        self._next: Future[_Block | None] = threads.submit(self._open)

    @property
    def opened(self) -> bool:
        """Tell whether the file was opened, or cannot be."""
        return self._next.done()

    def enter(self, model: Model, rows: Rows, row: int) -> None:
        """Begin the stream, with its state in a row.

        Raises:
            StreamcellError: If the file cannot be read.
        """
        self._next.result()
        audio = self._file
        self.row = row
        steps = Row(rows, row, model)
        self.stream = Stream(model, audio.sample_rate, "file", self._job.invalid, steps)

    def take(self) -> _Block | None:
        """Return the next block and have the one after it read; None at the end.

        Raises:
            StreamcellError: If the file cannot be read.
        """
        block = self._next.result()
        if block is None:
            self.ended = True
        else:
            self._next = self._threads.submit(next, self._blocks, None)
        return block

    def seconds(self, block: _Block) -> float:
        """Return how long a block lasts."""
        return len(block) / self._file.sample_rate

    def keep(self, events: Iterable[Event]) -> None:
        """Remember the final ones of some events."""
        for event in filter(is_final, events):
            self._segments += isinstance(event, Segment)
            self._record.append(relabel(event, to_ipa) if self._job.ipa else event)

    def write(self, unit: str, silence: str | None) -> Outcome:
        """Write the result; say what became of the recording.

        Args:
            unit: As in `Transcript`.
            silence: The label that stands for a pause, or None.
        """
        audio, task = self._file, self.task
        self.close()
        transcript = Transcript(task.path, audio.seconds, self._record, audio.cut, silence, unit)
        try:
            write_results(self._job.folder, task.name, self._job.formats, transcript)
        except WriteError as error:
            return Outcome(task.number, error=str(error), stop=error.hopeless)
        return Outcome(task.number, audio.seconds, self._segments, audio.cut)

    def close(self) -> None:
        """Close the file, unless it was never opened."""
        self._next.cancel()
        if self._audio is not None:
            self._audio.close()

    @property
    def _file(self) -> AudioFile:
        assert self._audio is not None, "the lane was not entered"
        return self._audio

    def _open(self) -> _Block | None:
        self._audio = AudioFile(self.task.path, finite=self._job.invalid == "error")
        self._blocks: Iterator[_Block] = iter(self._audio)
        return next(self._blocks, None)
