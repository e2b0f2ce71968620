"""What is written of real recordings, read by others' libraries, by a schema, and by the book."""

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from batches import results
from helpers import SAMPLES
from streamcell.runtime.cli.main import main
from streamcell.runtime.events import Segment
from streamcell.runtime.formats import Transcript, ctm

NAMES = ("plain", 'it\'s a "talk" of 100%', ";semi;colon", "語 音", "new\nline\tand --> arrow", "<i>&amp;")
KINDS = ("jsonl", "ctm", "textgrid", "srt", "vtt")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the files that are written of real recordings under odd names, one with a gap, one that is cut."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "in").mkdir()
    speech = sorted(SAMPLES.glob("*.flac"))
    for i, name in enumerate(NAMES):
        shutil.copy(speech[i % len(speech)], folder / "in" / f"{name}.flac")
    samples, rate = soundfile.read(speech[0])
    samples[rate : rate + 800] = np.nan
    soundfile.write(folder / "in" / "gap.wav", samples, rate, subtype="FLOAT")
    soundfile.write(folder / "in" / "still.wav", np.zeros(rate), rate)
    (folder / "in" / "cut.flac").write_bytes(speech[1].read_bytes()[:30000])
    call = ["transcribe", str(folder / "in"), "--out", str(folder / "out"), "--gap", "--jobs", "1"]
    assert main([*call, "--pause", "0.2", "--format", *KINDS]) == 1, "one is cut"
    found = {name: text.decode() for name, text in results(folder / "out").items()}
    assert len(found) == len(KINDS) * (len(NAMES) + 3)
    return found


def of_kind(written: dict[str, str], suffix: str) -> dict[str, str]:
    return {name.removesuffix(suffix): text for name, text in written.items() if name.endswith(suffix)}


def phones(written: dict[str, str], name: str) -> list[str]:
    return [one["label"] for one in json.loads(written[f"{name}.jsonl"])["segments"] if one["label"] != "SIL"]


@pytest.fixture(scope="module")
def valid() -> Callable[[object], bool]:
    """Return what says whether a document keeps to the schema that is in the package."""
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    text = (resources.files("streamcell.runtime.formats") / "transcript.schema.json").read_text(encoding="utf-8")
    jsonschema.Draft202012Validator.check_schema(json.loads(text))
    is_valid: Callable[[object], bool] = jsonschema.Draft202012Validator(json.loads(text)).is_valid
    return is_valid


def test_json_lines_keep_to_the_schema(written: dict[str, str], valid: Callable[[object], bool]) -> None:
    documents = {name: json.loads(text) for name, text in of_kind(written, ".jsonl").items()}
    for name, document in documents.items():
        assert valid(document), name
        for key in ("segments", "utterances", "gaps"):
            items = document.get(key, [])
            assert all(item["start"] <= item["end"] for item in items)
            assert items == sorted(items, key=lambda item: float(item["start"]))
    assert "cut" in documents["cut"]
    assert [gap["reason"] for gap in documents["gap"]["gaps"]] == ["invalid"]
    assert all("utterances" in documents[name] for name in NAMES)


def broken(document: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield documents that are wrong in one place each."""
    yield "no object", [document]
    for path in _places(document):
        *above, last = path
        for what, value in (("missing", None), ("a list", []), ("text", "x"), ("below zero", -0.001), ("null", None)):
            changed = copy.deepcopy(document)
            at: Any = changed
            for step in above:
                at = at[step]
            same = {"a list": list, "text": str}.get(what)
            if (same and isinstance(at[last], same)) or (what == "missing" and last in ("utterances", "gaps", "cut")):
                continue
            if what == "missing":
                del at[last]
            else:
                at[last] = value
            yield f"{path}: {what}", changed
        changed = copy.deepcopy(document)
        at = changed
        for step in above:
            at = at[step]
        at["more"] = 1
        yield f"{above}: extra", changed


def _places(value: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of each key, of lists only of those in the first item."""
    for key, inside in value.items():
        yield (*above, key)
        if isinstance(inside, list) and inside and isinstance(inside[0], dict):
            yield from _places(inside[0], (*above, key, 0))


def test_the_schema_refuses_what_is_wrong(written: dict[str, str], valid: Callable[[object], bool]) -> None:
    document = json.loads(written["gap.jsonl"])
    document["cut"] = True
    assert valid(document)
    wrong = dict(broken(document))
    assert len(wrong) > 80
    assert [what for what, changed in wrong.items() if valid(changed)] == []
    values: list[tuple[tuple[str | int, ...], object]] = [
        (("segments", 0, "confidence"), 1.001),
        (("segments", 0, "label"), ""),
        (("gaps", 0, "samples"), 0),
        (("gaps", 0, "samples"), 1.5),
        (("gaps", 0, "reason"), "bored"),
        (("gaps", 0, "action"), "guess"),
        (("utterances", 0, "reason"), "bored"),
        (("utterances", 0, "labels"), [1]),
        (("gaps",), []),
        (("cut",), False),
    ]
    for path, value in values:
        changed = copy.deepcopy(document)
        at: Any = changed
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value
        assert not valid(changed), path


def check_ctm(text: str) -> int:
    """Check a CTM as NIST's SCTK describes it (doc/infmts.htm, "ctm"); return how many tokens it has.

    A line is ``FILE CHANNEL START DURATION TOKEN [CONFIDENCE]``; ``;;`` begins a comment. Lines of one file and channel
    stand together, in the order of time, and none begins before the one ahead of it ends.
    """
    ends: dict[tuple[str, str], Decimal] = {}
    last, count = None, 0
    assert text == "" or text.endswith("\n")
    for line in text.split("\n"):
        if line.startswith(";;") or not line.strip():
            continue
        fields = line.split()
        assert 5 <= len(fields) <= 6, line
        start, duration = Decimal(fields[2]), Decimal(fields[3])
        for time in (start, duration):
            assert time.is_finite(), line
            assert time >= 0, line
        assert len(fields) == 5 or 0 <= Decimal(fields[5]) <= 1, line
        key = (fields[0], fields[1])
        assert key == last or key not in ends, f"lines of {key} do not stand together"
        assert start >= ends.get(key, Decimal(0)), line
        ends[key], last, count = start + duration, key, count + 1
    return count


@pytest.mark.parametrize(
    "text",
    [
        "a 1 0.0 0.1\n",
        "a 1 0.0 0.1 AA 0.5 x\n",
        "a b 1 0.0 0.1 AA 0.5\n",
        "a 1 0.0 0.1 AA 1.1\n",
        "a 1 0.0 0.1 AA -0.1\n",
        "a 1 -0.1 0.1 AA 0.5\n",
        "a 1 0.0 -0.1 AA 0.5\n",
        "a 1 0.0 nan AA 0.5\n",
        "a 1 0.5 0.1 AA 0.5\na 1 0.4 0.1 B 0.5\n",
        "a 1 0.0 0.101 AA 0.5\na 1 0.1 0.1 B 0.5\n",
        "a 1 0.0 0.1 AA\nb 1 0.0 0.1 AA\na 1 0.2 0.1 AA\n",
        "a 1 0.0 0.1 AA",
    ],
)
def test_the_checker_refuses_what_is_no_ctm(text: str) -> None:
    with pytest.raises(AssertionError):
        check_ctm(text)


def test_ctm_is_as_the_book_says(written: dict[str, str]) -> None:
    assert check_ctm(";; a comment\na 1 0.0 0.1 AA\na 1 0.1 0.1 B 0.5\nb A 0 1 C\n") == 3
    files = of_kind(written, ".ctm")
    for name, text in files.items():
        assert check_ctm(text) == len(phones(written, name)), name
        assert [line.split()[4] for line in text.splitlines()] == phones(written, name)
    whole = "".join(files.values())
    assert check_ctm(whole) == sum(len(phones(written, name)) for name in files) > 150
    assert {line.split()[0] for line in whole.splitlines()} == {
        "plain",
        'it\'s%20a%20"talk"%20of%20100%25',
        "%3Bsemi;colon",
        "語%20音",
        "new%0Aline%09and%20-->%20arrow",
        "<i>&amp;",
        "gap",
        "cut",
    }


def test_ctm_of_labels_at_once_and_close_together_does_not_overlap() -> None:
    thirds = tuple(Segment("K", i / 3, (i + 1) / 3, 1.0) for i in range(3000))
    assert check_ctm(ctm.write(Transcript("a", 1000.0, thirds))) == 3000


def test_subrip_is_read_by_srt(written: dict[str, str]) -> None:
    srt = pytest.importorskip("srt", reason="srt is not installed")
    for name, text in of_kind(written, ".srt").items():
        found = list(srt.parse(text))
        assert srt.compose(found, reindex=False) == text, name
        assert " ".join(one.content for one in found).split() == phones(written, name)
        assert [one.index for one in found] == list(range(1, len(found) + 1))
        assert all(one.start < one.end for one in found)


def test_webvtt_is_read_by_webvtt(written: dict[str, str]) -> None:
    webvtt = pytest.importorskip("webvtt", reason="webvtt-py is not installed")
    for name, text in of_kind(written, ".vtt").items():
        found = webvtt.from_string(text)
        assert " ".join(one.text for one in found).split() == phones(written, name), name
        assert all(one.start_in_seconds <= one.end_in_seconds for one in found)
        cues = [f"{one.start} --> {one.end}\n{one.raw_text}\n\n" for one in found]
        assert "".join(["WEBVTT\n\n", *cues]) == text


def test_textgrids_are_read_by_praat(written: dict[str, str], tmp_path: Path) -> None:
    parselmouth = pytest.importorskip("parselmouth", reason="praat-parselmouth is not installed")
    call = parselmouth.praat.call
    for name, text in of_kind(written, ".TextGrid").items():
        (tmp_path / "a.TextGrid").write_text(text, encoding="utf-8")
        grid = parselmouth.read(str(tmp_path / "a.TextGrid"))
        tiers = [call(grid, "Get tier name", tier + 1) for tier in range(call(grid, "Get number of tiers"))]
        assert tiers == ["phones"] + ["utterances"] * (name != "still") + ["gaps"] * (name == "gap")
        labels = [
            call(grid, "Get label of interval", 1, i + 1) for i in range(call(grid, "Get number of intervals", 1))
        ]
        assert [label for label in labels if label] == phones(written, name)
