"""One training from recipe to `best.pt`: progress, validation, curves, checkpoints, early stop, resume."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch

from streamcell.train import checkpoint
from streamcell.train.loop import Signals, Trainer, Update
from streamcell.train.plots import plot_curves
from streamcell.train.progress import Progress
from streamcell.train.recipe import AnyRecipe, RecipeError
from streamcell.train.task import Score, Task
from streamcell.train.tasks import open_task
from streamcell.train.team import Team

CHECKPOINT_SECONDS = 120.0


class Session:
    """A run folder and what happens in it.

    `out` holds `recipe.toml`, `checkpoint.pt` (to resume), `best.pt` (to export), `log.jsonl`, `curves.png`,
    `confusions.png`, `validation.json`, `tensorboard/` and `cache/` (of recordings that were decoded, about 115 MB an
    hour of speech).

    Args:
        recipe: what to train.
        text: the recipe's TOML text, kept with the weights.
        data: folder of the corpora.
        out: the run folder.
        resume: continue the run that is there.
        team: the processes that train together; None for this one alone. Only the leading one writes.

    Raises:
        StreamcellError: data missing; `out` holds a run and `resume` is false; it holds a run of another recipe or of
            other data.
    """

    def __init__(
        self, recipe: AnyRecipe, text: str, data: Path, out: Path, *, resume: bool = False, team: Team | None = None
    ) -> None:
        self.recipe, self.text, self.out, self.team = recipe, text, out, team or Team()
        stored = self._stored(resume)
        if out.exists() and not out.is_dir():
            raise RecipeError(f"--out {out} is a file; name a folder for the run")
        self.progress = Progress(out / "tensorboard", shown=self.team.leads)
        self.task = self._load(data)
        torch.manual_seed(recipe.train.seed)
        network = recipe.network(self.task.columns)
        if stored is not None and stored["data"] != self.task.fingerprint:
            raise checkpoint.CheckpointError(
                f"the data below {data} are not those that {out / 'checkpoint.pt'} was trained on; "
                "resume with the same recordings and labels, or choose another --out"
            )
        if self.team.leads:
            out.mkdir(parents=True, exist_ok=True)
            (out / "recipe.toml").write_text(text, encoding="utf-8")
        if stored is None:
            self.task.fit(network)
        self.trainer = Trainer(self.task, network.to(self.team.device), self.team)
        self.log: list[dict[str, Any]] = []
        self.pending: list[Update] = []  # since the last validation
        self.best = float("inf")
        self.stale = 0
        if stored is not None:
            self.trainer.load_state_dict(stored["trainer"])
            self.log, self.best, self.stale = stored["log"], stored["best"], stored["stale"]
            self.pending = [Update(**values) for values in stored["pending"]]

    def run(self, stopped: Callable[[], bool] = lambda: False) -> float:
        """Train until all updates are done or validation stops improving; return the best error rate.

        Args:
            stopped: Asked after each update; when it says yes, a checkpoint is written and the training ends.

        Raises:
            KeyboardInterrupt: `stopped` said yes.
        """
        train = self.recipe.train
        saved = time.monotonic()

        def signals() -> Signals:
            return Signals(stopped(), self.team.leads and time.monotonic() - saved > CHECKPOINT_SECONDS)

        with self.progress:
            self.progress.start(self.trainer.update, train.updates)
            updates = self.trainer.run(signals) if self.stale < train.patience else iter(())
            for update in updates:
                self.pending.append(update)
                self.progress.updated(update, self.best)
                validated = update.number % train.validate_every == 0 or update.number == train.updates
                if validated:
                    self._validate()
                stop = update.signals.stop or (self.team.size == 1 and stopped())  # others must be told first
                if validated or stop or update.signals.save:
                    self._save()
                    saved = time.monotonic()
                if stop:
                    raise KeyboardInterrupt
                if self.stale >= train.patience:
                    break
            if self.stale >= train.patience:
                self.progress.say(f"stopped early: no better for {self.stale} validations")
        return self.best

    def _load(self, data: Path) -> Task[Any]:
        """Load the data; the leading process first, so that the others find in the cache what it decoded."""
        if not self.team.leads:
            self.team.from_first(None)
        with self.progress:
            task = open_task(self.recipe, data, self.out / "cache", self.progress.decoded)
        if self.team.leads:
            self.team.from_first(None)
        return task

    def _stored(self, resume: bool) -> dict[str, Any] | None:
        path = self.out / "checkpoint.pt"
        if not resume:
            if path.exists():
                raise RecipeError(f"{self.out} already holds a run; continue it with --resume, or choose another --out")
            return None
        stored = checkpoint.load(path)
        if stored["recipe"] != msgspec.to_builtins(self.recipe):
            other = _differences(stored["recipe"], msgspec.to_builtins(self.recipe))
            raise checkpoint.CheckpointError(
                f"{path} is of another recipe (differs in {', '.join(other)}); "
                f"resume with {self.out / 'recipe.toml'}, or choose another --out"
            )
        return stored

    def _validate(self) -> None:
        """Score the averaged weights, keep the best; the other processes wait for what came of it."""
        if self.team.leads:
            self._score()
        self.best, self.stale = self.team.from_first((self.best, self.stale))
        self.pending = []

    def _score(self) -> None:
        network = self.recipe.network(self.task.columns)
        network.load_state_dict(self.trainer.average)
        result = self.task.validate(network)
        last = self.pending[-1]
        row = {"update": last.number, **_means(self.pending), "learning_rate": last.learning_rate}
        row |= {"validation": result.loss, "error_rate": result.rate}
        if result.rate < self.best:
            self._keep(network.state_dict(), result, last.number)
        learning = result.rate < self.best or last.number <= self.task.silent_updates
        self.best, self.stale = min(result.rate, self.best), 0 if learning else self.stale + 1
        self.log = [*self.log, row]
        self.progress.validated(row, self.task.measure)
        (self.out / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in self.log), encoding="utf-8")
        plot_curves(self.log, self.task.measure, self.out / "curves.png")

    def _keep(self, weights: dict[str, torch.Tensor], result: Score, update: int) -> None:
        figures = {"validation_error_rate": round(result.rate, 4), "updates": update, **result.figures()}
        checkpoint.save_best(self.out / "best.pt", weights, self.text, self.task.columns, figures)
        groups = {name: round(rate, 4) for name, rate in sorted(result.groups().items())}
        (self.out / "validation.json").write_text(json.dumps({**figures, "groups": groups}, indent=1), encoding="utf-8")
        result.draw(self.out / "confusions.png")

    def _save(self) -> None:
        trainer = self.trainer.state_dict()
        if trainer is None:
            return
        content = {
            "recipe": msgspec.to_builtins(self.recipe),
            "data": self.task.fingerprint,
            "trainer": trainer,
            "log": self.log,
            "pending": [_plain(update) for update in self.pending],
            "best": self.best,
            "stale": self.stale,
        }
        checkpoint.save(self.out / "checkpoint.pt", content)


def _means(updates: Sequence[Update]) -> dict[str, float]:
    """Return the mean of every loss over the updates that measured it, and of the gradient's norm."""
    names = dict.fromkeys(name for update in updates for name in update.losses)
    losses = {name: [update.losses[name] for update in updates if name in update.losses] for name in names}
    losses["gradient"] = [update.gradient for update in updates]
    return {name: sum(values) / len(values) for name, values in losses.items()}


def _plain(update: Update) -> dict[str, Any]:
    """Return an update as a checkpoint holds it, without its signals."""
    names = ("number", "losses", "gradient", "learning_rate")
    return {name: getattr(update, name) for name in names}


def _differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Return the key paths in which two recipes differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted(one.keys() | other.keys())
        return [
            found
            for key in keys
            for found in _differences(one.get(key), other.get(key), f"{path}.{key}" if path else key)
        ]
    return [] if one == other else [path]
