"""The measurement as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from streamcell.train.drift.measure import Difference, Norms, difference
from streamcell.train.drift.policies import NEVER, Trial

__all__ = ["facts", "table"]

_MOST_ROWS = 13  # of blocks; all are in the picture


def table(trials: Mapping[str, Trial], chosen: str) -> Iterator[str]:
    """Yield the lines of the tables: over time, after disturbances, states, and which policy is best.

    Args:
        trials: By the names of their policies, never among them.
        chosen: The best.
    """
    names = list(trials)
    never = trials[NEVER].course
    shown = np.unique(np.linspace(0, len(never.times) - 1, _MOST_ROWS).round().astype(int)).tolist()
    yield from _rows(
        ["block begins", *names],
        [
            [_clock(never.times[index]), *(_percent(trials[name].course.rates[index]) for name in names)]
            for index in shown
        ],
    )
    yield ""
    yield from _rows(
        ["over the hours", *names],
        [
            ["last block less first", *(_plain(trials[name].drift) for name in names)],
            ["all blocks", *(_percent(float(trials[name].course.rates.mean())) for name in names)],
            ["states begun anew", *(str(trials[name].course.resets) for name in names)],
        ],
    )
    yield ""
    yield from _probes(trials)
    yield ""
    yield from _states(never.norms, never.times)
    yield ""
    yield from _verdict(trials, chosen)


def facts(trials: Mapping[str, Trial], chosen: str) -> dict[str, Any]:
    """Return everything that was measured as JSON values."""
    return {
        "best": chosen,
        "policies": {name: _trial(trial, trials[NEVER]) for name, trial in trials.items()},
    }


def _trial(trial: Trial, never: Trial) -> dict[str, Any]:
    course = trial.course
    return {
        "policy": None if trial.policy is None else asdict(trial.policy),
        "times_s": list(course.times),
        "rates": course.rates.tolist(),
        "last_less_first": asdict(trial.drift),
        "against_never": asdict(trial.against(never)),
        "of": int(course.of.sum()),
        "resets": course.resets,
        "after": [
            {"name": one.name, "rate": one.rate, "said": one.said, "less_fresh": asdict(_less_fresh(trial, index))}
            for index, one in enumerate(trial.probes)
        ],
        "states": {
            "times_s": course.norms.times,
            "mean": course.norms.mean,
            "largest": course.norms.largest,
        },
    }


def _probes(trials: Mapping[str, Trial]) -> Iterator[str]:
    rows = []
    for index, probe in enumerate(trials[NEVER].probes):
        cells = []
        for trial in trials.values():
            one = trial.probes[index]
            cells.append(
                _percent(one.rate) if not index else f"{_percent(one.rate)} ({_plain(_less_fresh(trial, index))})"
            )
        rows.append([f"after {probe.name}" if index else probe.name, *cells])
    yield from _rows(["the same recordings", *trials], rows)
    said = [f"{probe.said} in {probe.name}" for probe in trials[NEVER].probes if probe.said]
    if said:
        yield f"phones heard where nobody spoke: {', '.join(said)}"


def _less_fresh(trial: Trial, index: int) -> Difference:
    fresh, one = trial.probes[0], trial.probes[index]
    return difference(one.wrong, fresh.wrong, one.of)


def _states(norms: Norms, times: Sequence[float]) -> Iterator[str]:
    """Yield how large the states' numbers were in the first block, the last, and at most."""
    looked, rows = np.array(norms.times), []
    first = looked <= (times[1] if len(times) > 1 else np.inf)
    last = looked > times[-1]
    for name, means in norms.mean.items():
        mean, largest = np.array(means), np.array(norms.largest[name])
        rows.append([name, *(f"{value:.3f}" for value in (mean[first].mean(), mean[last].mean(), largest.max()))])
    if rows:
        yield from _rows(["state (never reset)", "mean |x| in the first block", "in the last", "largest |x|"], rows)
    else:
        yield "the model has no state"


def _verdict(trials: Mapping[str, Trial], chosen: str) -> Iterator[str]:
    for name, trial in trials.items():
        if name != NEVER:
            yield f"{name} less never, over all that was heard: {_plain(trial.against(trials[NEVER]))} points"
    better = (
        [] if chosen == NEVER else [f"better than never beyond chance: {_plain(trials[chosen].against(trials[NEVER]))}"]
    )
    yield f"best: {chosen} ({better[0] if better else 'no policy is better beyond chance, and never is the simplest'})"


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    wide = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        first, *rest = (
            cell.ljust(size) if not index else cell.rjust(size)
            for index, (cell, size) in enumerate(zip(row, wide, strict=True))
        )
        yield "  ".join([first, *rest]).rstrip()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f}%"


def _plain(found: Difference) -> str:
    if not found.known:
        return f"{100 * found.rate:+.1f} [?]"
    return f"{100 * found.rate:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
