"""Recordings with their texts -> `utterances.jsonl` with times of phones: words by a dictionary, times by a model."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from streamcell.runtime.align import Script, align_file
from streamcell.runtime.align.script import Word
from streamcell.runtime.align.writing import utterance
from streamcell.runtime.errors import StreamcellError
from streamcell.runtime.model import Model
from streamcell.runtime.words import Dictionary
from streamcell.train.importers.spoken import Spoken

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*'?|'[^\W_]+")


@dataclass(slots=True)
class Account:
    """What became of a corpus.

    Attributes:
        done: recordings written.
        unknown: words that the dictionary lacks, with how many recordings they kept out.
        failed: recordings that could not be read or do not fit their text, with why.
        empty: recordings without a word.
    """

    done: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[str, str]] = field(default_factory=list)
    empty: int = 0


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, without marks; a hyphen parts two words.

    >>> words_of("It\u2019s twenty-one o'clock, 'tis.")
    ["it's", 'twenty', 'one', "o'clock", "'tis"]
    """
    return _WORD.findall(text.replace("\u2019", "'").lower())


def script_of(text: str, dictionary: Dictionary) -> tuple[Script, list[str]]:
    """Return the script of a text, and the words that the dictionary lacks; the script is whole if there are none."""
    words, unknown = [], []
    for word in words_of(text):
        ways = dictionary.get(word) or dictionary.get(word.strip("'"))
        if ways:
            words.append(Word(word, ways))
        else:
            unknown.append(word)
    return Script(tuple(words)), unknown


def import_corpus(
    spoken: Iterable[Spoken],
    out: Path,
    dictionary: Dictionary,
    *,
    model: str | None = None,
    jobs: int = 1,
    progress: Callable[[int, Account], None] = lambda _seen, _account: None,
) -> Account:
    """Write `out / utterances.jsonl`: whole, or not at all; what was done before is not done again.

    Meanwhile lines are collected in `utterances.jsonl.partial`, where a run that was stopped goes on.

    Args:
        spoken: the recordings; those whose phones are known keep them.
        out: a folder; it is made.
        dictionary: words to phones, as `read_dictionary` returns it.
        model: tells when phones were said, as `Model.open` takes it.
        jobs: processes.
        progress: called after each recording with how many were seen.

    Raises:
        StreamcellError: the corpus or the model cannot be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    partial, account = out / "utterances.jsonl.partial", Account()
    before = _done(partial)
    todo = list(_todo(spoken, set(before), dictionary, account))
    account.done = len(before)
    with partial.open("a", encoding="utf-8") as file:
        for seen, (name, line, why) in enumerate(_aligned(todo, model, jobs), 1):
            if why:
                account.failed.append((name, why))
            else:
                file.write(line)
                file.flush()
                account.done += 1
            progress(seen, account)
    if not account.done:
        return account
    partial.replace(out / "utterances.jsonl")
    return account


def _done(partial: Path) -> list[str]:
    """Return the names of the recordings that are done; cut off a line that was being written."""
    if not partial.exists():
        return []
    data = partial.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        partial.write_bytes(whole)
    return [str(json.loads(line)["id"]) for line in whole.decode("utf-8").splitlines()]


def _todo(
    spoken: Iterable[Spoken], done: set[str], dictionary: Dictionary, account: Account
) -> Iterator[tuple[Spoken, Script]]:
    """Yield what is to be aligned; count what cannot be."""
    for one in spoken:
        if one.id in done:
            continue
        script, unknown = (Script(()), []) if one.phones else script_of(one.text, dictionary)
        account.unknown.update(set(unknown))
        account.empty += not (script.words or unknown or one.phones)
        if not unknown and (script.words or one.phones):
            yield one, script


_model: Model | None = None  # of a process that aligns


def _open(name: str | None) -> None:
    global _model  # noqa: PLW0603 - a pool's initializer has no other place
    _model = Model.open(name)


def _aligned(todo: list[tuple[Spoken, Script]], model: str | None, jobs: int) -> Iterator[tuple[str, str, str]]:
    """Yield name, line, and why there is none, in order."""
    if jobs == 1 or len(todo) < 2:
        _open(model)
        yield from map(_align, todo)
        return
    with get_context("spawn").Pool(min(jobs, len(todo)), _open, (model,)) as pool:
        yield from pool.imap(_align, todo, chunksize=4)


def _align(task: tuple[Spoken, Script]) -> tuple[str, str, str]:
    one, script = task
    facts: dict[str, Any] = {"id": one.id, "speaker": one.speaker, "audio": os.path.abspath(one.audio)}  # noqa: PTH100
    if one.phones:
        return one.id, json.dumps({**facts, "text": one.text, "phones": one.phones}) + "\n", ""
    try:
        assert _model is not None
        aligned = align_file(_model, one.audio, script)
    except StreamcellError as error:
        return one.id, "", str(error)
    if aligned.cut:
        return one.id, "", f"{one.audio} is cut or damaged"
    row = {**facts, "text": one.text, "phones": json.loads(utterance(aligned))["phones"]}
    return one.id, json.dumps(row) + "\n", ""
