"""How many live streams one `StreamPool` carries on this machine; prints figures, asserts nothing.

    python tests/benchmarks/pool.py samples/phonemes/*.flac --streams 1000 --seconds 60

Each stream plays the recordings from a place of its own, in real time, one step of the model at a time; arrivals are
spread evenly and pushed in bursts of a millisecond, and what was heard is fetched once a second. The delay of a step is
counted from the moment its last sample was due to the moment its answer was there. At the end some streams are compared
with their run alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamcell.runtime import Model, Segment, Stream, StreamPool
from streamcell.runtime.bench.load import Clock, play
from streamcell.runtime.events import is_final
from streamcell.runtime.models import DEFAULT_LIVE_MODEL
from streamcell.runtime.sources import read_excerpt


def alone(model: Model, samples: NDArray[np.float32]) -> list[str]:
    stream = Stream(model)
    return labels([*stream.push(samples), *stream.flush()])


def labels(events: Sequence[object]) -> list[str]:
    return [event.label for event in events if isinstance(event, Segment) and is_final(event)]


def report(delays: NDArray[np.float64], calls: int, cpu: float, took: float) -> None:
    """Print what `Clock` noted, in ms."""
    used = f"{100 * cpu / took:.0f}% of a core, {1e6 * cpu / len(delays):.0f} us a step, all in"
    print(f"{len(delays)} steps in {calls} calls, {took:.1f} s, {used}")
    shares = zip(("p50", "p95", "p99", "most"), np.quantile(delays, [0.5, 0.95, 0.99, 1]), strict=True)
    print("delay in ms: " + ", ".join(f"{name} {value:.1f}" for name, value in shares))
    quarters = (f"{np.quantile(part, 0.99):.1f}" for part in np.array_split(delays, 4))
    print("p99 by quarter of the time: " + ", ".join(quarters))


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--model", default=DEFAULT_LIVE_MODEL)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--wait-ms", type=float, default=5.0)
    parser.add_argument("--check", type=int, default=50, help="streams that are compared with their run alone")
    args = parser.parse_args()
    model = Model.open(args.model)
    spec = model.manifest.input
    sound = np.concatenate([read_excerpt(file, spec.sample_rate, 1e4) for file in args.files])
    steps = round(args.seconds / spec.seconds_per_step)
    size = steps * spec.samples_per_step
    sound = np.tile(sound, size // len(sound) + 2)
    starts = np.random.default_rng(0).integers(0, len(sound) - size, args.streams).tolist()

    def block(k: int, step: int) -> NDArray[np.float32]:
        if (step + k) % fetch == 0:
            found[k] += labels(pool.events(ids[k]))
        begin = starts[k] + step * spec.samples_per_step
        return sound[begin : begin + spec.samples_per_step]

    found: list[list[str]] = [[] for _ in range(args.streams)]
    fetch = max(1, round(1 / spec.seconds_per_step))  # steps
    clock = Clock(spec.seconds_per_step)
    settings = {"workers": args.workers, "max_batch": args.batch, "max_latency_ms": args.wait_ms}
    with StreamPool(model, args.streams, notify=clock.answered, **settings) as pool:
        ids = [pool.open() for _ in range(args.streams)]
        begin, cpu = time.perf_counter(), time.process_time()
        played = play(pool, clock, ids, block, steps)
        took, cpu = time.perf_counter() - begin, time.process_time() - cpu
        for k, stream in enumerate(ids):
            found[k] += labels(pool.close(stream))
    lost = f"{played.refused} blocks refused, {played.unanswered} not answered"
    print(f"{args.streams} streams for {args.seconds:g} s, {args.workers} workers, {lost}")
    report(played.delays * 1000, played.calls, cpu, took)
    chosen = np.random.default_rng(1).choice(args.streams, min(args.check, args.streams), replace=False)
    differ = sum(found[k] != alone(model, sound[starts[k] : starts[k] + size]) for k in chosen)
    print(f"phones differ from the run alone in {differ} of {len(chosen)} streams")


if __name__ == "__main__":
    main()
