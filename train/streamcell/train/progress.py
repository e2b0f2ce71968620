"""Progress on the terminal (stderr) and in TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from torch.utils.tensorboard import SummaryWriter

from streamcell.train.loop import Update
from streamcell.train.plots import NO_LOSS


class Progress:
    """Bars for decoding and updates, a line for each validation, and TensorBoard scalars in the folder `logs`.

    Nothing of it if not `shown`.
    """

    def __init__(self, logs: Path, *, shown: bool = True) -> None:
        self._shown = shown
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
            refresh_per_second=2,
            disable=not shown,
        )
        self._decoding = self._bars.add_task("decoding", total=None, visible=False, note="")
        self._training = self._bars.add_task("training", total=None, visible=False, note="")
        self._logs = logs
        self._writer: SummaryWriter | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def decoded(self, done: int, total: int) -> None:
        """Show that `done` of `total` recordings are decoded."""
        self._bars.update(self._decoding, completed=done, total=total, visible=done < total)

    def start(self, done: int, total: int) -> None:
        """Show the bar of `total` updates, `done` of them from before; forget what was logged after these."""
        if self._shown:
            self._writer = SummaryWriter(str(self._logs), purge_step=done + 1 if done else None)
        self._bars.update(self._training, completed=done, total=total, visible=True)

    def updated(self, update: Update, best: float) -> None:
        """Show one update."""
        losses = "  ".join(f"{name} {value:.3f}" for name, value in update.losses.items())
        note = f"{losses}  best error rate {100 * best:.1f}%"
        self._bars.update(self._training, completed=update.number, note=note)
        values = {**update.losses, "gradient": update.gradient, "learning_rate": update.learning_rate}
        self._scalars("train", values, update.number)

    def validated(self, row: dict[str, Any], measure: str) -> None:
        """Show one validation, a row of the log, whose error rate is called `measure`."""
        losses = ", ".join(f"{name} {value:.3f}" for name, value in row.items() if name not in NO_LOSS)
        rate = f"validation loss {row['validation']:.3f}, {measure} {100 * row['error_rate']:.2f}%"
        self.say(f"update {row['update']}: {losses}; {rate}")
        self._scalars("validation", {"loss": row["validation"], "error_rate": row["error_rate"]}, row["update"])

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        if self._shown:
            self._bars.console.print(text, highlight=False, soft_wrap=True)

    def _scalars(self, group: str, values: dict[str, float], step: int) -> None:
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{group}/{name}", value, step)
