"""One training from recipe to `best.pt`: progress, validation, curves, checkpoints, early stop, resume."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

import msgspec
import torch

from streamcell.train import checkpoint
from streamcell.train.data.corpora import Material, load_material
from streamcell.train.loop import Signals, Trainer, Update
from streamcell.train.metrics import ErrorRate, by_group
from streamcell.train.plots import plot_confusions, plot_curves
from streamcell.train.progress import Progress
from streamcell.train.recipe import Recipe, RecipeError
from streamcell.train.team import Team
from streamcell.train.validate import Validation, validate

CHECKPOINT_SECONDS = 120.0


class Session:
    """A run folder and what happens in it.

    `out` holds `recipe.toml`, `checkpoint.pt` (to resume), `best.pt` (to export), `log.jsonl`, `curves.png`,
    `confusions.png`, `validation.json`, `tensorboard/` and `cache/` (the decoded recordings, about 115 MB an hour).

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
        self, recipe: Recipe, text: str, data: Path, out: Path, *, resume: bool = False, team: Team | None = None
    ) -> None:
        self.recipe, self.text, self.out, self.team = recipe, text, out, team or Team()
        stored = self._stored(resume)
        if out.exists() and not out.is_dir():
            raise RecipeError(f"--out {out} is a file; name a folder for the run")
        torch.manual_seed(recipe.train.seed)
        network = recipe.network()
        self.progress = Progress(out / "tensorboard", shown=self.team.leads)
        self.material = self._load(data, network.sample_rate)
        if stored is not None and stored["data"] != self.material.fingerprint:
            raise checkpoint.CheckpointError(
                f"the data below {data} are not those that {out / 'checkpoint.pt'} was trained on; "
                "resume with the same recordings and phones, or choose another --out"
            )
        if self.team.leads:
            out.mkdir(parents=True, exist_ok=True)
            (out / "recipe.toml").write_text(text, encoding="utf-8")
        if stored is None:
            self._fit_front_end(network)
        lanes = [
            self.material.lanes(recipe, network.samples_per_step, number)
            for number in self.team.mine(recipe.train.shards)
        ]
        self.trainer = Trainer(recipe, network.to(self.team.device), lanes, self.team)
        self.log: list[dict[str, Any]] = []
        self.pending: list[Update] = []  # since the last validation
        self.best = float("inf")
        self.stale = 0
        if stored is not None:
            self.trainer.load_state_dict(stored["trainer"])
            self.log, self.best, self.stale = stored["log"], stored["best"], stored["stale"]
            self.pending = [Update(*values) for values in stored["pending"]]

    def run(self, stopped: Callable[[], bool] = lambda: False) -> float:
        """Train until all updates are done or validation stops improving; return the best phone error rate.

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

    def _load(self, data: Path, sample_rate: int) -> Material:
        """Decode the recordings; the leading process first, so that the others find them in the cache."""
        if not self.team.leads:
            self.team.from_first(None)
        with self.progress:
            material = load_material(self.recipe, data, self.out / "cache", sample_rate, self.progress.decoded)
        if self.team.leads:
            self.team.from_first(None)
        return material

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

    def _fit_front_end(self, network: Any) -> None:
        """Measure mean and scale of the features on the first chunks, as they will be heard."""
        lanes = self.material.lanes(self.recipe, network.samples_per_step)
        with torch.no_grad():
            samples = torch.cat([torch.from_numpy(lanes.draw().samples) for _ in range(4)])
            features, _ = network.frontend(samples, network.frontend.initial_state(len(samples)))
        network.standardise.fit(features.flatten(0, 1))

    def _validate(self) -> None:
        """Score the averaged weights, keep the best; the other processes wait for what came of it."""
        if self.team.leads:
            self._score()
        self.best, self.stale = self.team.from_first((self.best, self.stale))
        self.pending = []

    def _score(self) -> None:
        network = self.recipe.network()
        network.load_state_dict(self.trainer.average)
        result = validate(
            network, self.material.validation, self.material.validation_recordings, self.recipe.model.look_ahead
        )
        last = self.pending[-1]
        means = {key: _mean([getattr(one, key) for one in self.pending]) for key in ("ctc", "frame", "gradient")}
        row = {"update": last.number, **means, "learning_rate": last.learning_rate}
        row |= {"validation": result.loss, "error_rate": result.rate}
        if result.rate < self.best:
            self._keep(network.state_dict(), result, last.number)
        # Greedy CTC says nothing as long as only frames are trained.
        learning = result.rate < self.best or last.number <= self.recipe.train.frame_updates
        self.best, self.stale = min(result.rate, self.best), 0 if learning else self.stale + 1
        self.log = [*self.log, row]
        self.progress.validated(row)
        (self.out / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in self.log), encoding="utf-8")
        plot_curves(self.log, self.out / "curves.png")

    def _keep(self, weights: dict[str, torch.Tensor], result: Validation, update: int) -> None:
        figures = {"validation_error_rate": round(result.rate, 4), "updates": update, **_counts(result)}
        checkpoint.save_best(self.out / "best.pt", weights, self.text, figures)
        groups = by_group((f"{one.utterance.corpus}/{one.utterance.speaker}", one.errors) for one in result.scored)
        speakers = {name: round(rate.rate, 4) for name, rate in sorted(groups.items())}
        (self.out / "validation.json").write_text(
            json.dumps({**figures, "speakers": speakers}, indent=1), encoding="utf-8"
        )
        plot_confusions([(one.reference, one.hypothesis) for one in result.scored], self.out / "confusions.png")

    def _save(self) -> None:
        trainer = self.trainer.state_dict()
        if trainer is None:
            return
        content = {
            "recipe": msgspec.to_builtins(self.recipe),
            "data": self.material.fingerprint,
            "trainer": trainer,
            "log": self.log,
            "pending": [astuple(update)[:5] for update in self.pending],
            "best": self.best,
            "stale": self.stale,
        }
        checkpoint.save(self.out / "checkpoint.pt", content)


def _mean(values: list[float]) -> float:
    """Return the mean of what was measured; the CTC loss is zero as long as only frames are trained."""
    measured = [value for value in values if value]
    return sum(measured) / len(measured) if measured else 0.0


def _counts(result: Validation) -> dict[str, int]:
    return asdict(sum((one.errors for one in result.scored), ErrorRate()))


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
