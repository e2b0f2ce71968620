"""How fast `streamcell transcribe --out` is, what takes the time, how much memory; prints figures, asserts nothing.

    python tests/benchmarks/batch.py speed DATA/speech/librispeech/dev    one hour in 300 files, end to end
    python tests/benchmarks/batch.py memory DATA/speech/librispeech/dev   peak memory: one minute against ten hours
    python tests/benchmarks/batch.py kills DATA/speech/librispeech/dev    50 kills at random times, then the results

The recordings are cut from those of the folder, joined, and written again as flac. `speed` takes shares of the
processor time from a run of one process whose parts are timed; `--pocketsphinx` also has pocketsphinx's allphone hear
some of the same files, if it is installed.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from streamcell.runtime import Model
from streamcell.runtime.batch import lane
from streamcell.runtime.batch.job import Job, Outcome, Task
from streamcell.runtime.batch.lanes import hear_here
from streamcell.runtime.decode import GreedyCTC
from streamcell.runtime.resample import Resampler
from streamcell.runtime.sources import AudioFile
from streamcell.runtime.stepper import Stepper

FORMATS = ("jsonl", "textgrid")


def sound_of(folder: Path, seconds: float) -> tuple[NDArray[np.float32], int]:
    """Join recordings of a folder until they are long enough; repeat them if they are not."""
    paths = sorted(path for path in folder.iterdir() if path.suffix in {".ogg", ".flac", ".wav", ".mp3", ".opus"})
    rate, parts, length = soundfile.info(paths[0]).samplerate, list[NDArray[np.float32]](), 0
    for path in paths:
        parts.append(soundfile.read(path, dtype="float32")[0])
        length += len(parts[-1])
        if length >= seconds * rate:
            break
    return np.concatenate(parts), rate


def make_files(source: Path, folder: Path, seconds: float, count: int) -> None:
    """Write ``count`` flac files of uneven length, ``seconds`` in all."""
    sound, rate = sound_of(source, seconds)
    random = np.random.default_rng(0)
    lengths = random.uniform(0.2, 1.8, count)
    folder.mkdir()
    for i, length in enumerate(lengths / lengths.sum() * seconds):
        begin = random.integers(0, len(sound))
        samples = np.take(sound, range(begin, begin + round(length * rate)), mode="wrap")
        soundfile.write(folder / f"{i:04d}.flac", samples, rate)


def command(source: Path, out: Path, *more: object) -> list[str]:
    call = [sys.executable, "-m", "streamcell", "transcribe", source, "--out", out, "--format", *FORMATS, *more]
    return list(map(str, call))


def results(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and ".streamcell" not in path.parts and not path.name.endswith("-part")
    }


# speed


class Stages:
    """Count the processor time of what is called, by stage, without that of stages called from there."""

    def __init__(self) -> None:
        self.times: dict[str, float] = defaultdict(float)
        self._inner = 0.0

    def watch(self, owner: Any, name: str, stage: str) -> None:
        """Have the time of a function or method counted."""
        plain = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            begin = time.thread_time()
            try:
                return plain(*args, **kwargs)
            finally:
                self.times[stage] += time.thread_time() - begin

        setattr(owner, name, timed)

    def watch_iterator(self, owner: Any, name: str, stage: str) -> None:
        """Have the time of an iterator's steps counted."""
        plain: Callable[..., Iterator[Any]] = getattr(owner, name)

        def timed(*args: Any) -> Iterator[Any]:
            steps = plain(*args)
            while True:
                begin = time.thread_time()
                try:
                    item = next(steps)
                except StopIteration:
                    return
                finally:
                    self.times[stage] += time.thread_time() - begin
                yield item

        setattr(owner, name, timed)


def shares(files: list[Path], out: Path, model: str | None) -> None:
    """Print the share of each stage in the processor time of one process."""
    stages = Stages()
    stages.watch_iterator(AudioFile, "__iter__", "decode")
    stages.watch(Resampler, "push", "resample")
    stages.watch(Stepper, "run", "inference")
    for name in ("read", "take"):
        stages.watch(GreedyCTC, name, "decoding")
    stages.watch(lane, "write_results", "writing")
    job = Job(model, Model.open(model).fingerprint, str(out), FORMATS)
    tasks = (Task(i, str(path), path.stem) for i, path in enumerate(files))
    begin, cpu = time.perf_counter(), time.process_time()
    seconds = sum(news.seconds for news in hear_here(job, tasks) if isinstance(news, Outcome))
    took, cpu = time.perf_counter() - begin, time.process_time() - cpu
    stages.times["the rest"] = cpu - sum(stages.times.values())
    print(f"one process: {seconds / took:.0f} times real time; a core's time would do for {seconds / cpu:.0f}")
    for stage, used in stages.times.items():
        print(f"  {stage:<10} {used:6.2f} s  {100 * used / cpu:4.1f}%")


def speed(args: argparse.Namespace, folder: Path) -> None:
    """Print times real time end to end, and the shares."""
    make_files(args.folder, folder / "in", args.seconds, args.files)
    size = sum(path.stat().st_size for path in (folder / "in").iterdir())
    print(f"{args.seconds:g} s in {args.files} files, {size / 1e6:.0f} MB of flac, {os.cpu_count()} cores")
    more = [] if args.model is None else ["--model", args.model]
    for turn in range(args.repeat):
        begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command(folder / "in", folder / f"out{turn}", *more), check=True, stderr=subprocess.DEVNULL)
        took, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(
            f"end to end, start of Python included: {took:.1f} s, {args.seconds / took:.0f} times real time, ", end=""
        )
        print(f"{cpu:.1f} s of processor time, {args.seconds / cpu:.0f} times real time a core")
    shares(sorted((folder / "in").iterdir()), folder / "shares", args.model)
    if args.pocketsphinx:
        compare(sorted((folder / "in").iterdir()))


def compare(files: list[Path]) -> None:
    """Have pocketsphinx's phone loop hear some of the files, on one core."""
    import pocketsphinx  # type: ignore[import-not-found, unused-ignore]

    decoder = pocketsphinx.Decoder(allphone=pocketsphinx.get_model_path("en-us/en-us-phone.lm.bin"), loglevel="FATAL")
    begin, seconds = time.process_time(), 0.0
    for path in files[:20]:
        samples, rate = soundfile.read(path, dtype="int16")
        decoder.start_utt()
        decoder.process_raw(samples.tobytes(), full_utt=True)
        decoder.end_utt()
        seconds += len(samples) / rate
    took = time.process_time() - begin
    print(f"pocketsphinx allphone, the first 20 files: {seconds / took:.1f} times real time in a core's time")


# memory


def long_file(source: Path, path: Path, seconds: float) -> None:
    """Write a flac of any length, a few minutes of speech over and over, without holding it in memory."""
    sound, rate = sound_of(source, 120.0)
    with soundfile.SoundFile(path, "w", rate, 1, format="FLAC") as file:
        left = round(seconds * rate)
        while left > 0:
            file.write(sound[:left])
            left -= len(sound)


def peak(source: Path, out: Path) -> float:
    """Return the peak resident memory of a run in one process, MB."""
    code = (
        "import resource, sys; from streamcell.runtime.cli.main import main; code = main(sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024); sys.exit(code)"
    )
    call = [sys.executable, "-c", code, *command(source, out, "--jobs", 1)[3:]]
    done = subprocess.run(call, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return float(done.stdout)


def memory(args: argparse.Namespace, folder: Path) -> None:
    """Print the peak memory for a short and a long file."""
    found = {}
    for name, seconds in (("one minute", 60.0), ("the long file", 3600 * args.hours)):
        path = folder / f"{name}.flac"
        long_file(args.folder, path, seconds)
        begin = time.perf_counter()
        found[name] = peak(path, folder / name)
        print(f"{name}: peak {found[name]:.0f} MB, {time.perf_counter() - begin:.0f} s", flush=True)
        path.unlink()
    print(f"{args.hours:g} h take {found['the long file'] - found['one minute']:.0f} MB more than a minute")


# kills


def kills(args: argparse.Namespace, folder: Path) -> None:
    """Kill a run at random times until it has been killed often enough; compare with a run in peace."""
    make_files(args.folder, folder / "in", args.seconds, args.files)
    begin = time.perf_counter()
    subprocess.run(command(folder / "in", folder / "quiet"), check=True, stderr=subprocess.DEVNULL)
    took, expected = time.perf_counter() - begin, results(folder / "quiet")
    random, out, rounds, killed, wrong = np.random.default_rng(args.seed), folder / "out", 0, 0, 0
    while killed < args.kills:
        process = subprocess.Popen(command(folder / "in", out, "--resume"), stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=float(random.uniform(0.2, 1.0) * took))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
        there = results(out)
        wrong += sum(expected.get(name) != data for name, data in there.items())
        if there.keys() == expected.keys():  # begin another archive
            rounds += 1
            out = folder / f"out{rounds}"
    subprocess.run(command(folder / "in", out, "--resume"), check=True, stderr=subprocess.DEVNULL)
    same = results(out) == expected
    print(f"{killed} kills in {rounds + 1} archives: {wrong} results were not whole; at the end all is there: {same}")


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "memory", "kills"))
    parser.add_argument("folder", type=Path, help="of recordings")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--hours", type=float, default=10.0, help="length of the long file")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--model")
    parser.add_argument("--pocketsphinx", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        {"speed": speed, "memory": memory, "kills": kills}[args.what](args, Path(folder))


if __name__ == "__main__":
    main()
