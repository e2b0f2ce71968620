import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from streamcell.runtime.batch.inputs import collect
from streamcell.runtime.batch.listing import Named, read_lines, read_manifest
from streamcell.runtime.batch.naming import result_names
from streamcell.runtime.errors import InputError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def names(folder: Path, pattern: str | None = None) -> list[str]:
    return [item.name for item in collect([Named(str(folder))], pattern).items]


def test_a_folder_is_all_audio_below_it(tmp_path: Path) -> None:
    touch(tmp_path, "b.wav", "a/z.FLAC", "a/y.mp3", "a/notes.txt", "a/.hidden.wav", ".git/x.wav", "c/d/e.opus")
    inputs = collect([Named(str(tmp_path))])
    assert [item.name for item in inputs.items] == ["b", "a/y", "a/z", "c/d/e"]
    assert inputs.notes == ("1 other files in the folders were passed over (1 .txt)",)
    assert names(tmp_path, "*.[mM][pP]3") == ["a/y"]
    assert names(tmp_path, "n*") == ["a/notes"]


def test_the_same_file_is_done_once_and_said(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.wav", "b/y.wav")
    (tmp_path / "b" / "link.wav").symlink_to(tmp_path / "a" / "x.wav")
    named = [Named(str(tmp_path / name)) for name in ("a", "b", "a/../b/y.wav", "a")]
    inputs = collect(named)
    assert [item.name for item in inputs.items] == ["x", "y"]
    assert "is the same file as" in inputs.notes[0]
    assert "(and 1 more)" in inputs.notes[0]
    assert "was met before" in inputs.notes[1]
    assert len(collect(named[2:3] * 2, once=False).items) == 2


def test_loops_of_links_end(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.wav")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self.wav").symlink_to("self.wav")
    inputs = collect([Named(str(tmp_path))])
    assert [item.name for item in inputs.items] == ["a/self", "a/x"]
    assert "a/up was met before" in inputs.notes[0]


ODD = ("two words", "it's", 'a "b"', "new\nline", "語音", "tab\there", "-dash", "\udcff\udcfe")


def test_odd_names_come_through_every_door(tmp_path: Path) -> None:
    for name in ODD:
        (tmp_path / f"{name}.wav").write_bytes(b"x")
    paths = [str(tmp_path / f"{name}.wav") for name in ODD]
    assert sorted(names(tmp_path)) == sorted(ODD)
    null = read_lines(io.BytesIO(b"\0".join(map(os.fsencode, paths))), null=True)
    assert [named.path for named in null] == paths
    plain = [path for path in paths if "\n" not in path]
    assert [named.path for named in read_lines(io.BytesIO(b"\n".join(map(os.fsencode, plain))))] == plain
    manifest = tmp_path / "list.jsonl"
    manifest.write_text("".join(json.dumps({"audio": f"{name}.wav"}) + "\n" for name in ODD))
    assert [item.name for item in collect(read_manifest(manifest)).items] == list(ODD)
    table = tmp_path / "list.csv"
    rows = "".join('"' + f"{name}.wav".replace('"', '""') + f'",{i}\n' for i, name in enumerate(ODD))
    table.write_text(f"path,id\n{rows}", errors="surrogateescape")
    found = collect(read_manifest(table)).items
    assert [(item.path, item.name) for item in found] == [(path, str(i)) for i, path in enumerate(paths)]


def test_only_line_feeds_end_the_rows_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path\na\u2028b.wav\nc\x0bd.wav\n", encoding="utf-8")
    found = collect(read_manifest(tmp_path / "list.csv")).items
    assert [item.name for item in found] == ["a\u2028b", "c\x0bd"]


def test_a_pattern_without_a_folder_is_remarked(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"x")
    (note,) = collect([Named(str(tmp_path / "a.wav"))], "*.flac").notes
    assert "'*.flac' is for files in folders, and no folder is named" in note
    assert not collect([Named(str(tmp_path))], "*.wav").notes


def test_names_with_nul_are_asked_about() -> None:
    with pytest.raises(InputError, match="say --null"):
        read_lines(io.BytesIO(b"a.wav\0b.wav\0"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"audio": "a.wav"}\n{"audio": 3}\n', "line 2 names no recording"),
        ('{"audio": "a.wav"}\n[]\n', "line 2 is no JSON object"),
        ('{"audio": "a.wav"}\n{"aud', "line 2 is no JSON"),
        ('{"audio": "a.wav", "id": [1]}', "id in line 1"),
        ("name,size\na.wav,3\n", "got 'name,size'"),
        ("id,audio\n1,a.wav\n2,\n", "line 3 names no recording"),
        ("", "expected JSON objects"),
    ],
)
def test_a_bad_manifest_says_which_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "list").write_text(text)
    with pytest.raises(InputError, match=message):
        read_manifest(tmp_path / "list")


def test_a_manifest_that_is_not_there() -> None:
    with pytest.raises(InputError, match="cannot read the list none"):
        read_manifest("none.jsonl")


def test_paths_of_a_manifest_are_below_it(tmp_path: Path) -> None:
    touch(tmp_path, "sub/a.wav", "b.wav")
    (tmp_path / "list.tsv").write_text(f"\ufeffaudio\tid\nsub/a.wav\t\n{tmp_path}/b.wav\tcalls/b\n")
    items = collect(read_manifest(tmp_path / "list.tsv")).items
    assert [(item.path, item.name) for item in items] == [
        (str(tmp_path / "sub" / "a.wav"), "sub/a"),
        (str(tmp_path / "b.wav"), "calls/b"),
    ]


def test_one_recording_may_have_two_ids(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    named = [Named(str(tmp_path / "a.wav"), id=name) for name in ("one", "two", "one")]
    assert [item.name for item in collect(named).items] == ["one", "two"]


def test_names_that_would_be_the_same_keep_their_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.wav", "a/x.flac", "a/y.wav", "b/x.wav", "failed.wav", "a/failed.wav")
    found = names(tmp_path)
    assert found == ["failed.wav", "a/failed", "a/x.flac", "a/x.wav", "a/y", "b/x"]


def test_names_that_are_the_same_all_the_same_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.wav", "b/x.wav")
    named = [Named(str(tmp_path / name)) for name in "ab"]
    with pytest.raises(InputError, match=r"a/x\.wav and .*b/x\.wav would both be written as 'x\.wav'.*--root"):
        collect(named)
    assert [item.name for item in collect(named, root=str(tmp_path)).items] == ["a/x", "b/x"]
    with pytest.raises(InputError, match="does not lie below --root"):
        collect(named, root=str(tmp_path / "a"))
    with pytest.raises(InputError, match=r"would both be written as 'x\.wav'"):
        result_names(["x.wav.mp3", "x.wav", "x.mp3"], [None] * 3, ["1", "2", "3"])


@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", "a\0b", "."])
def test_an_id_stays_in_the_output_folder(name: str) -> None:
    with pytest.raises(InputError, match="no name below the output folder"):
        result_names(["a.wav"], [name], ["a.wav"])


@pytest.mark.parametrize(("path", "name"), [("a.wav", ".streamcell/done"), (".streamcell/done.wav", None)])
def test_the_journal_is_no_place_for_results(path: str, name: str | None) -> None:
    with pytest.raises(InputError, match=r"written as '\.streamcell/done', where streamcell keeps its journal"):
        result_names([path], [name], [path])


@pytest.mark.parametrize("once", [True, False])
def test_an_empty_name_is_told(once: bool) -> None:
    with pytest.raises(InputError, match="one of the names is empty"):
        collect([Named("")], once=once)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not read")
def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "good/a.wav", "shut/b.wav")
    (tmp_path / "shut").chmod(0)
    for folder in (tmp_path, tmp_path / "good", *tmp_path.parents[:-2]):
        folder.chmod(0o755)
    code = (
        "import os, sys; from streamcell.runtime.batch.inputs import collect, Named; os.seteuid(65534);"
        "found = collect([Named(sys.argv[1])]); print([i.name for i in found.items], found.unreadable)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("['good/a'] ((")
    assert f"'{tmp_path}/shut', 'the folder cannot be read: Permission denied'" in done.stdout
