"""Run the commands of README.md as they stand: `first` bash block, `tests` (the second), `tour` (all others).

The tour runs in a clone with a miniature of the corpora behind $DATA and with the recipes' schedules cut short, so that
hours become a minute; the commands are the README's, letter by letter, its Python too. `streamcell mic` gets Ctrl-C
after some seconds; without a way to record it must say so and exit with 2.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PHONEMES = {"lanes": 2, "chunk_steps": 32, "updates": 6, "warmup": 2, "validate_every": 3}
SIMULATED = {"updates": 20, "warmup": 5, "validate_every": 10}
SHORT = {
    "samples/phonemes/recipe.toml": {**PHONEMES, "frame_updates": 3},
    "samples/phonemes/second.toml": PHONEMES,
    "samples/phonemes/third.toml": PHONEMES,
    "samples/phonemes/fourth.toml": PHONEMES,
    "samples/phonemes/fifth.toml": PHONEMES,
    "samples/phonemes/sixth.toml": PHONEMES,
    "samples/phonemes/seventh.toml": PHONEMES,
    "samples/phonemes/eighth.toml": PHONEMES,
    "samples/phonemes/ninth.toml": PHONEMES,
    "samples/phonemes/tenth.toml": PHONEMES,
    "samples/phonemes/eleventh.toml": PHONEMES,
    "samples/activity/simulated.toml": SIMULATED,
}


def blocks() -> list[tuple[str, str]]:
    """Return the README's fenced blocks as (language, text)."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^```(bash|python)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(block: str) -> list[str]:
    """Return the commands of a block, lines joined at backslashes, comments and blank lines left out."""
    lines = block.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def run(command: str, *, folder: Path, env: dict[str, str]) -> None:
    """Run one command; stop at the first that fails."""
    print(f"$ {command}", flush=True)
    if re.match(r"streamcell mic\b(?!.*--list-devices)", command):
        run_microphone(command, folder, env)
        return
    code = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=folder, env=env, check=False).returncode
    if code:
        sys.exit(f"readme: exit code {code} from: {command}")


def run_microphone(command: str, folder: Path, env: dict[str, str]) -> None:
    """Run the live command and press Ctrl-C; it must end with 0, or with 2 where nothing can record."""
    arguments = command.partition("#")[0].split()
    process = subprocess.Popen(arguments, cwd=folder, env=env)
    try:
        code = process.wait(8)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        code = process.wait(20)
    if code not in {0, 2}:
        sys.exit(f"readme: exit code {code} from: {command}")


def miniature(recipe: Path, data: Path, recordings: Path) -> None:
    """Lay out below `data` every corpus that `recipe` names, filled with the few recordings of `recordings`."""
    table = tomllib.loads(recipe.read_text(encoding="utf-8"))["data"]
    rows = [json.loads(line) for line in (recordings / "utterances.jsonl").read_text(encoding="utf-8").splitlines()]
    for corpus in table["corpora"]:
        folder = data / corpus["path"]
        folder.mkdir(parents=True, exist_ok=True)
        for row in rows:
            shutil.copy(recordings / row["audio"], folder)
        speakers = [*corpus.get("validation_speakers", []), *(f"other-{i}" for i in range(len(rows)))]
        lines = [{**rows[i % len(rows)], "id": str(i), "speaker": speaker} for i, speaker in enumerate(speakers)]
        (folder / "utterances.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    if table.get("noise"):
        (data / table["noise"]).mkdir(parents=True, exist_ok=True)
        shutil.copy(recordings / rows[0]["audio"], data / table["noise"])


def shorten(recipe: Path, schedule: dict[str, int]) -> None:
    """Cut the schedule of `recipe` in place."""
    text = recipe.read_text(encoding="utf-8")
    for key, value in schedule.items():
        text, found = re.subn(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
        if not found:
            text = text.replace("[train]\n", f"[train]\n{key} = {value}\n")
    recipe.write_text(text, encoding="utf-8")


def tour() -> None:
    """Run everything but the first two commands, with `streamcell` on the PATH."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, data = Path(scratch) / "clone", Path(scratch) / "data"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
        for name, schedule in SHORT.items():
            if name.startswith("samples/phonemes/"):
                miniature(folder / name, data, folder / "samples/phonemes")
            shorten(folder / name, schedule)
        env = {**os.environ, "DATA": str(data)}
        for language, block in blocks()[2:]:
            if language == "python":
                print(f">>> {len(block.splitlines())} lines of Python", flush=True)
                subprocess.run(
                    [shutil.which("python") or sys.executable, "-W", "error", "-c", block],
                    cwd=folder,
                    env=env,
                    check=True,
                )
                continue
            for command in commands(block):
                run(command, folder=folder, env=env)


def main() -> None:
    """Run the part that the first argument names."""
    if sys.argv[1] == "tour":
        tour()
        return
    _, block = blocks()[{"first": 0, "tests": 1}[sys.argv[1]]]
    for command in commands(block):
        run(command, folder=ROOT, env=dict(os.environ))


if __name__ == "__main__":
    main()
