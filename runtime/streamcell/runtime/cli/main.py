"""Find the command, run it, and turn every expected failure into one line and an exit code.

A command is a module behind an entry point of the group ``streamcell.commands``. It has ``HELP`` (one line),
``add_arguments(parser)`` and ``run(args) -> int``, and may have ``DESCRIPTION`` and ``EPILOG``. Only the module of the
command that is called is imported; ``streamcell --help`` imports them all, so what is heavy is imported in ``run``.
"""

import argparse
import difflib
import io
import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path
from typing import Any, TextIO

from streamcell.runtime.cli import texts
from streamcell.runtime.errors import StreamcellError

__all__ = ["main"]

GROUP = "streamcell.commands"

_LONGEST = 4000  # letters of a message

_DESCRIPTION = (
    "Stream audio and sensor samples through recurrent networks, one step at a time, with the state as a value."
)

_EPILOG = """\
examples:
  streamcell transcribe speech.wav                 the phones of a recording, with their times
  streamcell transcribe *.flac --format jsonl      the same for programs, one JSON object a file
  streamcell mic                                   the phones of what you say now
  streamcell classify walk.csv --model waist.onnx  what a sensor's signals mean, at every sample
  streamcell label digits.onnx three.wav           one label for a whole recording, text or picture
  streamcell generate tales.onnx --prompt "Once"   text that a model of characters or words goes on with
  streamcell inspect phonemes-en                   what a model takes, gives and carries

`streamcell COMMAND --help` explains a command. Results go to stdout, everything else to stderr.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0 done, 1 done in part, 2 bad input, 130 interrupted.

    Args:
        argv: The arguments; None takes the process's.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _mend_outputs()
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
        return 128 + signal.SIGPIPE
    except (StreamcellError, OSError) as error:
        print(f"streamcell: error: {texts.plain(str(error), _LONGEST)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return code


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0].startswith("-"):
        return _top(arguments)
    name, *rest = arguments
    command = _load(_find(name))
    parser = _parser(
        f"streamcell {name}", getattr(command, "DESCRIPTION", command.HELP), getattr(command, "EPILOG", "")
    )
    command.add_arguments(parser)
    code: int = command.run(parser.parse_intermixed_args(rest))  # files may stand behind options, too
    return code


def _top(arguments: list[str]) -> int:
    """Answer ``--help``, ``--version``, and a call without a command."""
    parser = _parser("streamcell", _DESCRIPTION, f"commands:\n{_overview()}\n\n{_EPILOG}")
    parser.usage = "streamcell [-h] [--version] COMMAND ..."
    parser.add_argument("--version", action="version", version=f"streamcell {version('streamcell')}")
    parser.parse_args(arguments)
    parser.print_help(sys.stderr)
    return 2


def _parser(prog: str, description: str, epilog: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog, description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def _commands() -> dict[str, EntryPoint]:
    """Return the entry points by name; where another package uses a name of ours, ours."""
    found = sorted(
        entry_points(group=GROUP), key=lambda entry: entry.dist is not None and entry.dist.name == "streamcell"
    )
    return {entry.name: entry for entry in found}


def _find(name: str) -> EntryPoint:
    commands = _commands()
    if name in commands:
        return commands[name]
    near = difflib.get_close_matches(name, commands, n=1, cutoff=0.5)
    if near:
        advice = f"Did you mean `streamcell {near[0]}`?"
    elif Path(name).exists():
        advice = f"Did you mean `streamcell transcribe {name}`?"
    else:
        advice = f"There are: {', '.join(commands) or 'none; is streamcell installed?'}"
    raise StreamcellError(f"unknown command {name!r}. {advice}")


def _load(entry: EntryPoint) -> Any:
    """Import a command's module; whatever another package's module raises becomes an error that names it."""
    try:
        command = entry.load()
        complete = isinstance(command.HELP, str) and callable(command.add_arguments) and callable(command.run)
    except (Exception, SystemExit) as error:
        raise StreamcellError(
            f"the command {entry.name!r} ({entry.value}) cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not complete:
        raise StreamcellError(
            f"the command {entry.name!r} ({entry.value}) must have HELP, add_arguments(parser) and run(args)"
        )
    return command


def _overview() -> str:
    lines = []
    for name, entry in _commands().items():
        try:
            text = _load(entry).HELP
        except StreamcellError as error:
            text = f"({error})"
        lines.append(f"  {name:<12} {text}")
    return "\n".join(lines)


def _mend_outputs() -> None:
    """Write to nowhere what was closed (``>&-``); escape names and IPA that the terminal's encoding lacks."""
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _nowhere() -> TextIO:
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def _forget_stdout() -> None:
    """Keep the interpreter from flushing into a closed pipe when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
