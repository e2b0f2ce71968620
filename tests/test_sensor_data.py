"""Sensor data as training reads it: HAPT, folders of CSV files, sequences; and its split by groups."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcell.runtime.errors import InputError, SourceError
from streamcell.train.data.recording import grid_runs
from streamcell.train.data.sensor import UNSAID, Recording, SensorData, read_sensor, split

DATA = Path(os.environ.get("STREAMCELL_DATA", "none"))
CORPUS = pytest.mark.skipif(
    not (DATA / "sensor" / "hapt.zip").is_file(),
    reason="needs STREAMCELL_DATA, the folder with sensor/hapt.zip and sensor/point_history.csv",
)

ACTIVITIES = ["walking", "walking_upstairs", "sitting", "stand_to_sit"]
HAPT = "HAPT Data Set"
BASIC = {
    "activity_labels.txt": "1 WALKING\n2 WALKING_UPSTAIRS\n3 SITTING\n4 STAND_TO_SIT\n\n",
    "RawData/labels.txt": "1 1 3 2 4 \n1 1 4 5 5\n12 2 1 1 2\n",
    "RawData/acc_exp01_user01.txt": "".join(f"{n}.25 -{n}e-05 {n}\n" for n in range(6)),
    "RawData/gyro_exp01_user01.txt": "".join(f"{n}.5 0.125 -{n}.75\n" for n in range(6)),
    "RawData/acc_exp12_user02.txt": "1 2 3\n4 5 6\n7 8 9\n",
    "RawData/gyro_exp12_user02.txt": "-1 -2 -3\n-4 -5 -6\n",
}


def unpacked(folder: Path, **changes: str | None) -> Path:
    """Write the layout of HAPT below ``folder``; changes are made by the last word of a file's name."""
    for name, text in BASIC.items():
        path = folder / HAPT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        changed = changes.get(path.stem, text)
        if changed is not None:
            path.write_bytes(changed.encode())
    return folder


def packed(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*.txt")):
            archive.write(file, file.relative_to(folder))
    return path


def hapt(path: Path, channels: tuple[str, ...] = (), labels: tuple[str, ...] = ()) -> SensorData:
    return read_sensor("hapt", path, sample_rate=50, channels=channels, labels=labels)


def test_hapt_in_a_folder_and_in_an_archive_is_the_same(tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "there")
    data = hapt(folder)
    assert data.channels == ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
    assert data.units == ("g", "g", "g", "rad/s", "rad/s", "rad/s")
    assert data.labels == tuple(ACTIVITIES)
    assert data.sample_rate == 50
    one, two = data.recordings
    assert (one.name, one.group, two.name, two.group) == ("exp01_user01", "1", "exp12_user02", "2")
    expected = np.array([[n + 0.25, -n * 1e-5, n, n + 0.5, 0.125, -n - 0.75] for n in range(6)], np.float32)
    expected[0, 5] = -0.75
    assert one.values.dtype == np.float32
    assert np.array_equal(one.values, expected)
    assert one.labels.tolist() == [UNSAID, 2, 2, 2, 3, UNSAID]
    assert two.values.tolist() == [[1, 2, 3, -1, -2, -3], [4, 5, 6, -4, -5, -6]]
    assert two.labels.tolist() == [0, 0]
    for other in (hapt(folder / HAPT), hapt(packed(folder, tmp_path / "hapt.zip"))):
        assert other.fingerprint == data.fingerprint
    assert hapt(packed(folder / HAPT, tmp_path / "inner.zip")).fingerprint == data.fingerprint


def test_some_channels_and_labels_of_hapt(tmp_path: Path) -> None:
    folder = unpacked(tmp_path)
    whole, some = hapt(folder), hapt(folder, channels=("gyro_z", "acc_x"), labels=("stand_to_sit", "walking"))
    assert some.units == ("rad/s", "g")
    assert some.labels == ("stand_to_sit", "walking")
    assert np.array_equal(some.recordings[0].values, whole.recordings[0].values[:, [5, 0]])
    assert some.recordings[0].labels.tolist() == [-1, -1, -1, -1, 0, -1]
    assert some.recordings[1].labels.tolist() == [1, 1]
    assert some.fingerprint != whole.fingerprint


ACC = BASIC["RawData/acc_exp12_user02.txt"]


@pytest.mark.parametrize(
    "text", [ACC.replace("\n", "\r\n"), ACC.rstrip(), ACC.replace(" ", "  "), ACC.replace("4", "+4."), "\t" + ACC]
)
def test_numbers_of_hapt_may_be_written_otherwise(text: str, tmp_path: Path) -> None:
    expected = hapt(unpacked(tmp_path / "a"))
    assert hapt(unpacked(tmp_path / "b", acc_exp12_user02=text)).fingerprint == expected.fingerprint


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labels": None}, "found it 0 times; give the archive, or the folder that holds RawData"),
        ({"activity_labels": None}, r"cannot read .*activity_labels\.txt"),
        ({"activity_labels": "1 WALKING\n3 SITTING\n"}, "expected lines as '1 WALKING'"),
        ({"labels": "1 1 3 2 4\n1 1 5 1 2\n"}, r"labels\.txt, line 2: expected .* activity from 1 to 4"),
        ({"labels": "1 1 3 0 4\n"}, "line 1: expected"),
        ({"labels": "1 1 3 4 3\n"}, "line 1: expected"),
        ({"labels": "1 1 3 2\n"}, "line 1: expected"),
        ({"labels": "1 1 3 x 2\n"}, "line 1: expected"),
        ({"labels": "1 1 3 2 4\n1 1 2 4 6\n"}, "line 2: samples 4 to 6 of exp01_user01 are labelled already"),
        ({"labels": "1 1 3 2 57\n"}, "or beyond its end at 6"),
        ({"labels": "1 1 3 2 4\n1 2 3 2 4\n"}, "labels experiment 1 of user 2, which is not there"),
        ({"gyro_exp12_user02": None}, "cannot read .*gyro_exp12_user02"),
        ({"gyro_exp12_user02": "1 2 3\n" * 60}, "differ by more than 50 rows: 3 and 60"),
        ({"acc_exp12_user02": "1 2 3\n4 5\n6 7 8 9\n"}, r"user02\.txt, line 2: expected three numbers .* got '4 5'"),
        ({"acc_exp12_user02": "1 2 3\n4 five 6\n"}, "line 2: expected three numbers"),
        ({"acc_exp12_user02": ""}, "line 1: expected three numbers"),
        ({"acc_exp12_user02": "1 2 3\n4 nan 6\n"}, "exp12_user02: sample 2 of 'acc_y' is nan"),
        ({"acc_exp12_user02": "1 2 3\n4 5 1e39\n"}, "exp12_user02: sample 2 of 'acc_z' is inf"),
    ],
)
def test_what_is_wrong_with_hapt_is_named(changes: dict[str, str | None], says: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=says):
        hapt(unpacked(tmp_path, **changes))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"sample_rate": 100}, "recorded at 50 Hz"),
        ({"units": ("m/s^2",) * 6}, "units of"),
        ({"channels": ("acc_x", "temperature")}, r"no channels \['temperature'\]; there are \['acc_x'"),
        ({"labels": ("running",)}, r"no labels \['running'\]; there are \['walking'"),
        ({"labels": ("walking", "walking")}, "labels must be names that differ"),
        ({"channels": ("acc_x", "")}, "channels must be names that differ"),
    ],
)
def test_arguments_that_do_not_fit_hapt(settings: dict[str, object], says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says):
        read_sensor("hapt", unpacked(tmp_path), **{"sample_rate": 50, **settings})  # type: ignore[arg-type]


def test_the_files_of_hapt_are_looked_for_first(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="found it 0 times"):
        hapt(tmp_path, channels=("x", "y"))


def test_an_archive_that_is_none_or_is_cut_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("hello")
    with pytest.raises(SourceError, match=r"cannot read .*text\.zip as the archive"):
        hapt(tmp_path / "text.zip")
    whole = packed(unpacked(tmp_path / "there"), tmp_path / "hapt.zip").read_bytes()
    place = whole.index(b"acc_exp01_user01.txt") + 25
    (tmp_path / "bad.zip").write_bytes(whole[:place] + bytes(20) + whole[place + 20 :])
    with pytest.raises(SourceError, match=r"cannot read .*acc_exp01_user01\.txt"):
        hapt(tmp_path / "bad.zip")


def csv_folder(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    return folder


def recordings(path: Path, *, sample_rate: int = 10, labels: tuple[str, ...] = (), label: str = "label") -> SensorData:
    return read_sensor(
        "recordings", path, sample_rate=sample_rate, channels=("ax", "ay"), units=("g", "g"), labels=labels, label=label
    )


def test_a_folder_of_csv_files(tmp_path: Path) -> None:
    files = {
        "ann/one.csv": "ax,ay,label\n1,2,walk\n3,4,\n\n5,6,-\n7,8,sit\n",
        "ann/deep/two.CSV": '\ufefflabel;AY;note;AX\r\n"run";2;"a;b";1\r\n walk ;4;;3\r\n',
        "bob.csv": "ax,ay,label\n1,2,walk",
        "cid.csv": "ax\tay\tlabel\tSubject\n1\t2\twalk\tS7\n1\t2\twalk\tS7\n",
        "ann/readme.txt": "no data",
    }
    data = recordings(csv_folder(tmp_path, files))
    assert (data.channels, data.units, data.labels, data.sample_rate) == (
        ("ax", "ay"), ("g", "g"), ("run", "sit", "walk"), 10,
    )  # fmt: skip
    found = [(r.name, r.group, r.values.tolist(), r.labels.tolist()) for r in data.recordings]
    assert found == [
        ("ann/deep/two", "ann", [[1, 2], [3, 4]], [0, 2]),
        ("ann/one", "ann", [[1, 2], [3, 4], [5, 6], [7, 8]], [2, -1, -1, 1]),
        ("bob", "bob", [[1, 2]], [2]),
        ("cid", "S7", [[1, 2], [1, 2]], [2, 2]),
    ]
    named = recordings(tmp_path, labels=("walk", "sit", "run", "fly"))
    assert named.labels == ("walk", "sit", "run", "fly")
    assert named.recordings[1].labels.tolist() == [0, -1, -1, 1]


def test_regular_times_change_nothing(tmp_path: Path) -> None:
    rows = [f"{np.sin(n):.4f},{n},{'ab'[n // 10 % 2]}" for n in range(57)]
    plain = csv_folder(tmp_path / "plain", {"x.csv": "\n".join(["ax,ay,label", *rows])})
    timed = [f"{1700000000000 + 100 * n},{row}" for n, row in enumerate(rows)]
    with_times = csv_folder(tmp_path / "timed", {"x.csv": "\n".join(["time_ms,ax,ay,label", *timed])})
    (expected,), (found,) = recordings(plain).recordings, recordings(with_times).recordings
    np.testing.assert_allclose(found.values, expected.values, atol=1e-5)
    assert np.array_equal(found.labels, expected.labels)


def test_times_put_readings_on_the_grid_and_holes_begin_a_recording(tmp_path: Path) -> None:
    times = [0.0, 0.11, 0.16, 0.3, 0.4, 1.0, 1.1, 1.2, 7201.0, 7201.1]
    rows = [f"{time},{10 * time},0,{name}" for time, name in zip(times, "aabbbbbaba", strict=True)]
    data = recordings(csv_folder(tmp_path, {"x.csv": "\n".join(["t,ax,ay,label", *rows])}))
    assert [one.name for one in data.recordings] == ["x", "x (2)", "x (3)"]
    assert {one.group for one in data.recordings} == {"x"}
    found = [(one.values[:, 0].round(3).tolist(), one.labels.tolist()) for one in data.recordings]
    assert found[0] == ([0, 1, 2, 3, 4], [0, 0, 1, 1, 1])
    assert found[1] == ([10, 11, 12], [1, 1, 0])
    assert found[2] == ([72010, 72011], [1, 0])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.02, 0.9), min_size=1, max_size=60),
    st.sampled_from([1, 3, 10, 50]),
    st.floats(-1e6, 1e9).map(round),
)
def test_runs_lie_on_the_line_between_readings(steps: list[float], rate: int, start: int) -> None:
    times = start + np.cumsum([0.0, *steps])
    values = (times - start).astype(np.float32)[:, None]
    for begin, rows in grid_runs(times, values, rate):
        grid = begin - start + np.arange(len(rows)) / rate
        assert np.abs(rows[:, 0] - grid).max() < 1e-3
        point = (begin - start) * rate
        assert abs(point - round(point)) < 1e-3 * rate


HEAD = "time,ax,ay,label\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no readings; it should hold a header"),
        ("ax,ay,label\n", "holds no readings"),
        ("1,2,walk\n3,4,walk\n", "line 1: expected a header with one column 'label'"),
        ("ax,ay,activity\n1,2,walk\n", r"expected a header with one column 'label' .* got \['ax', 'ay', 'activity'\]"),
        ("ax,az,label\n1,2,walk\n", r"x\.csv, line 1: no column is called 'ay'"),
        ("ax,ay,label\n1,2,walk\n1,2\n", "line 3: expected 3 columns as in the header, got 2"),
        ('ax,ay,label\n1,2,"' + 200_000 * "a" + '"\n', "line 2: expected CSV, got '1,2,\"aaa"),
        ("ax,ay,label\n1,2,walk\n\n1,two,walk\n", "line 4, column 'ay': expected a number, got 'two'"),
        ("ax,ay,label\n1,2,walk\n\n1,nan,walk\n", "line 4, column 'ay': expected a number that is finite"),
        ("ax,ay,label\n1e39,2,walk\n", "line 2, column 'ax': expected a number that is finite"),
        ("ax,ay,label\n1,2,walk\n1,2,fly\n", r"line 3: expected one of the recipe's labels \['walk'\].* got 'fly'"),
        ("ax,ay,label,group\n1,2,walk,a\n1,2,walk,b\n", "line 3: expected one group throughout a file, got 'b'"),
        ("ax,ay,label,group\n1,2,walk,\n", "line 2: expected one group"),
        (HEAD + "0,1,2,walk\n0.1,1,2,walk\n0.1,1,2,walk\n", "line 4: expected times that rise, got 0.1 s after 0.1 s"),
        (HEAD + "0,1,2,walk\n0.1,1,2,walk\n0.05,1,2,walk\n", "line 4: expected times that rise"),
        (HEAD + "nan,1,2,walk\n", "line 2: expected times that rise, got nan"),
        (HEAD + "".join(f"{n / 20},1,2,walk\n" for n in range(9)), "readings come at 20 Hz, .* sample_rate = 10"),
        (HEAD + "".join(f"{n},1,2,walk\n" for n in range(9)), "readings come at 1 Hz"),
    ],
)
def test_what_is_wrong_with_a_csv_file_is_named(text: str, says: str, tmp_path: Path) -> None:
    csv_folder(tmp_path, {"x.csv": text})
    with pytest.raises(SourceError, match=says) as caught:
        recordings(tmp_path, labels=("walk",))
    assert "x.csv" in str(caught.value)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"ax,ay,label\n\xff\n")
    with pytest.raises(SourceError, match=r"cannot read .*x\.csv as CSV"):
        recordings(tmp_path)


def test_no_data_at_all(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"found nothing; give the folder that holds it as --data"):
        recordings(tmp_path / "nowhere")
    with pytest.raises(SourceError, match=r"expected CSV files with a header in the folder .* found none"):
        recordings(tmp_path)
    with pytest.raises(InputError, match="expected the format 'recordings', 'sequences' or 'hapt', got 'wav'"):
        read_sensor("wav", tmp_path, sample_rate=10)  # type: ignore[arg-type]
    csv_folder(tmp_path, {"x.csv": "ax,ay,label\n1,2,-\n"})
    with pytest.raises(SourceError, match="nothing in the data has a label"):
        recordings(tmp_path)
    with pytest.raises(InputError, match='"recordings" does not say its channels'):
        read_sensor("recordings", tmp_path, sample_rate=10)
    with pytest.raises(InputError, match='"sequences" does not say its channels'):
        read_sensor("sequences", tmp_path, sample_rate=10)
    with pytest.raises(InputError, match="expected units for each of the channels"):
        read_sensor("recordings", tmp_path, sample_rate=10, channels=("ax", "ay"), units=("g",), labels=("walk",))


def sequences(path: Path, *, labels: tuple[str, ...] = ("stop", "go")) -> SensorData:
    return read_sensor("sequences", path, sample_rate=30, channels=("x", "y"), labels=labels)


def windows(path: np.ndarray, kind: int) -> list[str]:
    """Cut every four points of a path, each from its own first point, as a camera does that follows a finger."""
    cut = [path[n : n + 4] - path[n] for n in range(len(path) - 3)]
    return [",".join([str(kind), *(f"{v:.9f}" for v in points.ravel())]) for points in cut]


def test_sequences_are_grouped_by_blocks_of_32_rows(tmp_path: Path) -> None:
    lines = windows(np.cumsum(np.random.default_rng(1).normal(0, 0.1, (73, 2)), 0), 1)
    assert len(lines) == 70
    (tmp_path / "x.csv").write_text("\n".join([*lines[:3], "", *lines[3:], ""]))
    data = sequences(tmp_path / "x.csv")
    assert [one.group for one in data.recordings] == ["block 000"] * 32 + ["block 001"] * 32 + ["block 002"] * 6
    assert [one.name for one in data.recordings] == [f"row {n}" for n in (1, 2, 3, *range(5, 72))]
    assert all((one.labels == 1).all() for one in data.recordings)
    assert data.recordings[0].values.shape == (4, 2)
    assert data.recordings[0].values.ravel().tolist() == np.array(lines[0].split(",")[1:], np.float32).tolist()
    assert sequences(tmp_path / "x.csv", labels=()).labels == ("0", "1")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("\n", "is empty; it should hold a sequence a row"),
        ("0,1,2\n1,2,x\n", r"x\.csv, line 2, column 3: expected a number, got 'x'"),
        ("0,1,2\n2,1,2\n", "line 2, column 1: expected the number of a class, 0 to 1, got 2"),
        ("0.5,1,2\n", "column 1: expected the number of a class"),
        ("-1,1,2\n", "column 1: expected the number of a class"),
        ("0,1,2,3\n", "line 1: expected a class and points of 2 numbers each, got 3 numbers"),
        ("0\n", "got 0 numbers"),
        ("0,1,inf\n", "row 1: sample 1 of 'y' is inf"),
    ],
)
def test_what_is_wrong_with_a_sequence_is_named(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(SourceError, match=says):
        sequences(tmp_path / "x.csv")


def test_a_folder_is_no_file_of_sequences(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("0,1,2\n")
    with pytest.raises(SourceError, match=r'expected one CSV file .* there: x\.csv.*"recordings"'):
        sequences(tmp_path)


def data_of(**groups: list[int]) -> SensorData:
    found = [Recording(name, name[0], np.zeros((len(labels), 1), np.float32), np.array(labels, np.int64))
             for name, labels in groups.items()]  # fmt: skip
    return SensorData(("x",), (), ("a", "b"), 10, tuple(found))


def test_a_split_keeps_groups_whole() -> None:
    data = data_of(a1=[0, 1], b1=[1], c1=[0], a2=[0], d1=[1])
    training, validation = split(data, ("a",), ("d",))
    assert [one.name for one in training] == ["b1", "c1"]
    assert [one.name for one in validation] == ["a1", "a2"]
    training, validation = split(data, ["b", "d"])
    assert [one.name for one in training] == ["a1", "c1", "a2"]
    assert [one.name for one in validation] == ["b1", "d1"]


@pytest.mark.parametrize(
    ("validation", "test", "says"),
    [
        (("a", "z"), (), r"no groups \['z'\], .* there are \['a', 'b', 'c'\]$"),
        (("a",), ("y",), r"no groups \['y'\]"),
        (("a",), ("a",), r"groups \['a'\] are in validation_groups and in test_groups"),
        (("a", "b"), (), "no labelled samples are left to train on; hold fewer groups out"),
        (("a",), ("b",), "no labelled samples are left to train on"),
        ((), ("a",), r"no labelled samples are left to validate on; hold some .* validation_groups = \[...\]"),
        (("c",), (), "no labelled samples are left to validate on"),
    ],
)
def test_a_split_that_leaves_nothing_is_refused(validation: tuple[str], test: tuple[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        split(data_of(a1=[0, 1], b1=[1], c1=[-1, -1]), validation, test)


def test_any_change_of_the_data_changes_the_fingerprint() -> None:
    base = data_of(a1=[0, 1], b1=[1])
    one, two = base.recordings
    others = [
        data_of(a1=[0, 1], b1=[0]),
        data_of(a1=[0, 1], b2=[1]),
        SensorData(("y",), base.units, base.labels, 10, base.recordings),
        SensorData(base.channels, ("g",), base.labels, 10, base.recordings),
        SensorData(base.channels, base.units, ("b", "a"), 10, base.recordings),
        SensorData(base.channels, base.units, base.labels, 20, base.recordings),
        SensorData(base.channels, base.units, base.labels, 10, (two, one)),
        SensorData(
            base.channels, base.units, base.labels, 10, (one, Recording("b1", "b", two.values + 1, two.labels))
        ),
    ]  # fmt: skip
    prints = [data.fingerprint for data in (base, *others)]
    assert len(set(prints)) == len(prints)
    assert data_of(a1=[0, 1], b1=[1]).fingerprint == prints[0]


@CORPUS
def test_the_whole_of_hapt() -> None:
    data = hapt(DATA / "sensor" / "hapt.zip")
    assert len(data.labels) == 12
    assert {one.group for one in data.recordings} >= {"2", "9", "10", "13", "20"}
    for one in data.recordings:
        for posture in ("standing", "sitting", "laying"):
            still = one.values[one.labels == data.labels.index(posture), :3]
            assert not len(still) or 0.9 < np.linalg.norm(still, axis=1).mean() < 1.1, (one.name, posture)
        assert (one.labels >= 0).mean() > 0.35, one.name
    counts = np.bincount(np.concatenate([one.labels for one in data.recordings]) + 1)
    assert (counts > 5000).all()
    training, validation = split(data, ("1", "3"), ("2", "9", "10", "13", "20"))
    assert {one.group for one in validation} == {"1", "3"}
    assert not {one.group for one in training} & {"1", "2", "3", "9", "10", "13", "20"}


@CORPUS
def test_the_whole_of_the_fingertip_gestures() -> None:
    data = sequences(DATA / "sensor" / "point_history.csv", labels=("stop", "clockwise", "counter", "move"))
    groups = [one.group for one in data.recordings]
    assert len(groups) == 5296
    assert len(set(groups)) == 166
