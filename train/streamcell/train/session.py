"""One training from recipe to `best.pt`: progress, validation, curves, checkpoints, early stop, resume."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch

from streamcell.runtime.errors import SourceError
from streamcell.train import checkpoint
from streamcell.train.keep import keep_best
from streamcell.train.loop import DivergedError, Signals, Trainer, Update
from streamcell.train.plots import plot_curves
from streamcell.train.precision import choose_precision
from streamcell.train.progress import Progress
from streamcell.train.recipe import AnyRecipe, RecipeError
from streamcell.train.shortage import explain_shortage, what_to_lower
from streamcell.train.task import Task
from streamcell.train.tasks import open_task
from streamcell.train.team import Team
from streamcell.train.transfer import take_weights

CHECKPOINT_SECONDS = 120.0
CHANGEABLE = frozenset(
    f"train.{key}"
    for key in ("learning_rate", "warmup", "schedule", "precision", "clip", "updates", "validate_every", "patience")
)
"""What a resumed run may have otherwise: all that is read anew in each update and fits any checkpoint."""


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
        resume: continue the run that is there; its recipe may differ in what is `CHANGEABLE`.
        team: the processes that train together; None for this one alone. Only the leading one writes.
        start: run folder whose best weights this run begins with; None draws them.

    Raises:
        StreamcellError: data missing, or changed while one process after the other read them; `out` holds a run and
            `resume` is false; it holds a run of another recipe or of other data; `start` holds no run or another
            network; memory ran out.
    """

    def __init__(
        self,
        recipe: AnyRecipe,
        text: str,
        data: Path,
        out: Path,
        *,
        resume: bool = False,
        team: Team | None = None,
        start: Path | None = None,
    ) -> None:
        self.recipe, self.text, self.data, self.out, self.team = recipe, text, data, out, team or Team()
        self.start, self.transfer = start, ""  # what was taken over, in words
        choose_precision(recipe.train.precision, self.team.device)  # what cannot be is refused now
        self.changed: list[str] = []  # keys in which the recipe differs from that of the run that is resumed
        if resume and start is not None:
            raise RecipeError(f"--from {start} is for the beginning of a run; leave it out with --resume")
        stored = self._stored(resume)
        if out.exists() and not out.is_dir():
            raise RecipeError(f"--out {out} is a file; name a folder for the run")
        self.progress = Progress(out / "tensorboard", shown=self.team.leads)
        with explain_shortage(self._roomier):
            self.task = self._load(data)
        if stored is not None and stored["data"] != self.task.fingerprint:
            raise checkpoint.CheckpointError(
                f"the data below {data} are not those that {out / 'checkpoint.pt'} was trained on; "
                "resume with the same recordings and labels, or choose another --out"
            )
        if self.team.leads:
            out.mkdir(parents=True, exist_ok=True)
            (out / "recipe.toml").write_text(text, encoding="utf-8")
        with explain_shortage(self._roomier):
            self.trainer = self._trainer(fresh=stored is None)
        self.log: list[dict[str, Any]] = []
        self.pending: list[Update] = []  # since the last validation
        self.before = self.trainer.precision  # what the run computed in until now
        self.best = float("inf")
        self.stale = 0
        self.saved: int | None = None  # the last update that the checkpoint on disk knows
        if stored is not None:
            self.trainer.load_state_dict(stored["trainer"])
            self.before = stored["trainer"].get("precision", self.trainer.precision)
            self.saved = self.trainer.update
            self.log, self.best, self.stale = stored["log"], stored["best"], stored["stale"]
            self.transfer = stored.get("transfer", "")
            self.pending = [Update(**values) for values in stored["pending"]]

    def run(self, stopped: Callable[[], bool] = lambda: False) -> float:
        """Train until all updates are done or validation stops improving; return the best error rate.

        Args:
            stopped: Asked after each update; when it says yes, a checkpoint is written and the training ends.

        Raises:
            KeyboardInterrupt: `stopped` said yes.
            StreamcellError: a loss is no number any more, or memory ran out; the checkpoint stays as it was.
        """
        try:
            with explain_shortage(self._roomier):
                return self._run(stopped)
        except DivergedError as error:
            raise DivergedError(f"{error}; {self._go_on()}") from error

    def _run(self, stopped: Callable[[], bool]) -> float:
        train = self.recipe.train
        saved = time.monotonic()

        def signals() -> Signals:
            return Signals(stopped(), self.team.leads and time.monotonic() - saved > CHECKPOINT_SECONDS)

        with self.progress:
            self.progress.start(self.trainer.update, train.updates)
            self._say_how()
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

    def _say_how(self) -> None:
        """Say what the recipe alone does not."""
        if self.transfer and self.saved is None:
            self.progress.say(self.transfer)
        if self.recipe.train.precision == "auto":
            other = f", not in {self.before} as before" if self.before != self.trainer.precision else ""
            self.progress.say(f"computes in {self.trainer.precision}{other}")
        if self.changed:
            self.progress.say(f"goes on with another {', '.join(self.changed)}")

    def _load(self, data: Path) -> Task[Any]:
        """Load the data; the leading process first, so that the others find in the cache what it decoded."""
        first = "" if self.team.leads else self.team.from_first(None)
        with self.progress:
            task = open_task(self.recipe, data, self.out / "cache", self.progress.decoded)
        if self.team.leads:
            self.team.from_first(task.fingerprint)
        elif task.fingerprint != first:
            raise SourceError(
                f"the data below {data} changed while the processes of this training read them one after the other; "
                "start again when nothing is written there any more"
            )
        return task

    def _trainer(self, *, fresh: bool) -> Trainer:
        """Return the training at its beginning, its front end measured if it is `fresh`."""
        torch.manual_seed(self.recipe.train.seed)
        network = self.recipe.network(self.task.columns)
        if fresh:
            self.task.fit(network)
            if self.start is not None:
                self.transfer = str(take_weights(network, self.task.columns, self.start))
        return Trainer(self.task, network.to(self.team.device), self.team)

    def _roomier(self) -> str:
        """Say what to do when memory runs out."""
        path = self.out / "checkpoint.pt"
        kept = f"; {path} is kept, for --resume with more memory" if path.exists() else ""
        return (
            f"lower {what_to_lower(self.recipe)} in the recipe, or name less data in it, and train with another --out; "
            f"or end what else needs memory{kept}"
        )

    def _go_on(self) -> str:
        """Say how to go on from the last checkpoint, when the network is lost."""
        if self.saved is None:
            return f"nothing was saved before; start again with another --out than {self.out}"
        kept = f"{self.out / 'checkpoint.pt'} is kept, of update {self.saved}"
        return f"{kept}: go on from there with the changed recipe and --resume"

    def _stored(self, resume: bool) -> dict[str, Any] | None:
        path = self.out / "checkpoint.pt"
        if not resume:
            if path.exists():
                raise RecipeError(f"{self.out} already holds a run; continue it with --resume, or choose another --out")
            return None
        stored = checkpoint.load(path)
        other = _differences(_completed(stored["recipe"], type(self.recipe)), msgspec.to_builtins(self.recipe))
        if fixed := [key for key in other if key not in CHANGEABLE]:
            raise checkpoint.CheckpointError(
                f"{path} is of another recipe (differs in {', '.join(fixed)}); "
                f"resume with {self.out / 'recipe.toml'}, or choose another --out"
            )
        self.changed = other
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
            facts = {"updates": last.number, **({"transfer": self.transfer} if self.transfer else {})}
            keep_best(self.out, network.state_dict(), self.text, self.task.columns, result, facts)
        learning = result.rate < self.best or last.number <= self.task.silent_updates
        self.best, self.stale = min(result.rate, self.best), 0 if learning else self.stale + 1
        self.log = [*self.log, row]
        self.progress.validated(row, self.task.measure)
        (self.out / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in self.log), encoding="utf-8")
        plot_curves(self.log, self.task.measure, self.out / "curves.png")

    def _save(self) -> None:
        trainer = self.trainer.state_dict()
        self.saved = self.trainer.update
        if trainer is None:
            return
        content = {
            "recipe": msgspec.to_builtins(self.recipe),
            "data": self.task.fingerprint,
            "folder": str(self.data.absolute()),
            "trainer": trainer,
            "log": self.log,
            "pending": [_plain(update) for update in self.pending],
            "best": self.best,
            "stale": self.stale,
            "transfer": self.transfer,
        }
        checkpoint.save(self.out / "checkpoint.pt", content)


def _means(updates: Sequence[Update]) -> dict[str, float]:
    """Return the mean of every loss over the updates that measured it, and of the gradient's norm.

    What is no number, in an update that float16 left out, does not count.
    """
    measured = [{**update.losses, "gradient": update.gradient} for update in updates]
    names = [*dict.fromkeys(name for update in updates for name in update.losses), "gradient"]
    found = {name: [one[name] for one in measured if math.isfinite(one.get(name, math.nan))] for name in names}
    return {name: sum(values) / len(values) for name, values in found.items() if values}


def _plain(update: Update) -> dict[str, Any]:
    """Return an update as a checkpoint holds it, without its signals."""
    names = ("number", "losses", "gradient", "learning_rate")
    return {name: getattr(update, name) for name in names}


def _completed(recipe: Any, kind: type[AnyRecipe]) -> Any:
    """Return a stored recipe with the keys that came later, at their defaults; as it is, if it is of another kind."""
    try:
        return msgspec.to_builtins(msgspec.convert(recipe, kind))
    except msgspec.ValidationError:
        return recipe


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
