import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import soundfile
from matplotlib.collections import Collection, PolyCollection
from matplotlib.figure import Figure

from benchmarks.steps import features_model
from helpers import SAMPLES, assert_same, finals, tiny_model
from sensors import CHANNELS, LABELS, moves, sensor_model
from streamcell.runtime import InputError, MissingExtraError, Model, OutputSpec, Posteriors, Reset, Segment, Stream
from streamcell.runtime.cli.main import main
from streamcell.runtime.events import Event
from streamcell.runtime.phones import ARPABET, to_ipa
from streamcell.runtime.plot import Scene, gather
from streamcell.runtime.plot.columns import Columns, Join
from streamcell.runtime.plot.mel import BANDS, LogMel, to_mel
from streamcell.runtime.plot.picture import compose, draw
from streamcell.runtime.plot.recorder import Longest
from streamcell.runtime.regular import Oddity
from streamcell.runtime.sense import SensorStream, channel_names
from streamcell.runtime.sources import Lines
from streamcell.runtime.specs import ResetPolicy
from streamcell.runtime.transcribe import transcribe_file

READER = SAMPLES / "reader.flac"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run the command in this process; return exit code, stdout, stderr."""
    try:
        code = main(["plot", *map(str, arguments)])
    except SystemExit as end:
        code = int(end.code or 0)
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with models, readings with a hole and a duplicate, and sound with samples that are not finite."""
    path = tmp_path_factory.mktemp("plot")
    (path / "moves.onnx").write_bytes(sensor_model())
    (path / "tiny.onnx").write_bytes(tiny_model(samples_per_step=160, sample_rate=16000))
    times, values = moves(700)
    times[300:] += 0.5
    times[500:] += 3.0
    rows = [f"{time!r},{x},{z},{y}\n" for time, (x, y, z) in zip(times.tolist(), values.tolist(), strict=True)]
    rows.insert(100, rows[99])
    (path / "walk.csv").write_text("time,ACC_X,gyr_z,acc_y\n" + "".join(rows))
    sound, rate = soundfile.read(READER, dtype="float32")
    sound = np.concatenate([sound, np.full(4000, np.nan, np.float32), sound, np.full(20000, np.inf), sound[:9000]])
    soundfile.write(path / "holes.wav", sound, rate, subtype="FLOAT")
    return path


@pytest.fixture(scope="module")
def phonemes() -> Model:
    return Model.open()


@pytest.fixture(scope="module")
def spoken(phonemes: Model, folder: Path) -> Scene:
    return gather(phonemes, folder / "holes.wav", invalid="gap")


@pytest.fixture(scope="module")
def walked(folder: Path) -> Scene:
    return gather(Model.open(folder / "moves.onnx"), folder / "walk.csv")


def in_order(events: Iterable[Event]) -> list[Event]:
    """Return segments and gaps by their beginning."""
    timed = [event for event in events if not isinstance(event, Reset)]
    return [*sorted(timed, key=lambda event: (event.start, isinstance(event, Segment)))]


def events_of(scene: Scene) -> list[Event]:
    return in_order([*scene.segments, *scene.gaps])


# what is gathered


def test_the_events_of_sound_are_those_of_a_stream(phonemes: Model, spoken: Scene, folder: Path) -> None:
    expected = transcribe_file(phonemes, folder / "holes.wav", invalid="gap")
    assert_same(events_of(spoken), in_order(expected.events), 0)
    assert [gap.action for gap in spoken.gaps] == ["fill", "reset"]
    assert (spoken.start, spoken.end) == (0.0, expected.duration)
    assert len(spoken.segments) > 50


@pytest.mark.parametrize("look_ahead", [0, 2])
def test_the_events_of_readings_are_those_of_a_stream(folder: Path, look_ahead: int) -> None:
    model = Model.open(sensor_model(look_ahead=look_ahead))
    scene, stream = gather(model, folder / "walk.csv"), SensorStream(model)
    with Lines(folder / "walk.csv", CHANNELS) as lines:
        found = [one for readings in lines for one in stream.push(readings)] + stream.flush()
    events = finals(one for one in found if not isinstance(one, Oddity))
    assert_same(events_of(scene), in_order(events), 1e-5)
    assert len(scene.segments) > 10
    assert [gap.action for gap in scene.gaps] == ["hold", "reset"]
    assert scene.end == stream.time
    assert scene.oddities == {"duplicate": 1}


def test_resets_are_kept(tmp_path: Path) -> None:
    times, values = moves(200)
    times[100:] += 9000
    rows = [
        json.dumps({"t": time, **dict(zip(CHANNELS, row, strict=True))})
        for time, row in zip(times, values.tolist(), strict=True)
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    scene = gather(Model.open(sensor_model()), tmp_path / "a.jsonl")
    assert [reset.reason for reset in scene.resets] == ["clock"]
    axes = compose(scene).axes
    assert axes[-1].get_legend_handles_labels() == ([], [])
    legend = axes[-1].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["reset"]


def test_probabilities_are_the_models(phonemes: Model, walked: Scene) -> None:
    scene, posteriors = gather(phonemes, READER), Posteriors(phonemes, quality="file")
    sound, _ = soundfile.read(READER, dtype="float32")
    frames = posteriors.push(sound) + posteriors.flush()
    probs = np.concatenate([frame.probs for frame in frames])
    np.testing.assert_array_equal(scene.probabilities.values, probs[:, 1:].astype(np.float64))
    assert (scene.labels, scene.silence) == (phonemes.manifest.outputs[0].labels[1:], "SIL")
    assert (scene.probabilities.start, scene.probabilities.step) == (0.0, 0.04)
    known = ~np.isnan(walked.probabilities.values).any(axis=1)
    np.testing.assert_allclose(walked.probabilities.values[known].sum(axis=1), 1, atol=1e-5)
    middles = walked.probabilities.edges[:-1] + 0.01
    lost = np.zeros(len(middles), bool)
    for gap in walked.gaps:
        lost |= (middles > gap.start) & (middles < gap.end)
    np.testing.assert_array_equal(known, ~lost)


def test_signals_are_the_samples(spoken: Scene, walked: Scene, folder: Path) -> None:
    sound, rate = soundfile.read(folder / "holes.wav", dtype="float32")
    (panel,) = spoken.panels
    each = round(panel.low.step * rate)
    assert len(panel.low.values) == -(-len(sound) // each) <= 4096
    sound[~np.isfinite(sound)] = np.nan
    for index in range(0, len(panel.low.values), 37):
        part = sound[index * each : (index + 1) * each]
        if np.isfinite(part).any():
            assert panel.low.values[index, 0] == np.nanmin(part)
            assert panel.high.values[index, 0] == np.nanmax(part)
        else:
            assert np.isnan(panel.low.values[index, 0])
    assert [(panel.quantity, panel.names) for panel in walked.panels] == [("g", CHANNELS[:2]), ("rad/s", CHANNELS[2:])]
    _, values = moves(700)
    assert np.nanmax(walked.panels[1].high.values) == pytest.approx(values[:, 2].max(), rel=0.1)


def test_a_part_is_a_part_of_the_whole(phonemes: Model, spoken: Scene, walked: Scene, folder: Path) -> None:
    for model, file, whole in ((phonemes, "holes.wav", spoken), (Model.open(sensor_model()), "walk.csv", walked)):
        for start, end in ((1.0, 2.5), (3.0, 7.9), (5.0, 99.0), (2.0, 2.004)):
            part = gather(model, folder / file, start=start, end=end, invalid="gap")
            inside = [
                event
                for event in events_of(whole)
                if getattr(event, "end", 0) > start and getattr(event, "start", 0) < end
            ]
            assert_same(events_of(part), inside, 1e-9, f"{file} {start} {end}")
            assert (part.start, part.end) == (start, min(end, whole.end))
            edges = part.probabilities.edges
            assert edges[0] <= start < edges[1]
            first = round(edges[0] / whole.probabilities.step)
            rows = whole.probabilities.values[first : first + len(edges) - 1]
            np.testing.assert_allclose(part.probabilities.values, rows, atol=1e-6)
            assert edges[-1] >= part.end - 1e-9 or (start, end) == (3.0, 7.9), "which ends in a gap of the sound"


def test_the_file_is_read_no_further_than_needed(folder: Path) -> None:
    rows = (folder / "walk.csv").read_text().splitlines()
    (folder / "bad.csv").write_text("\n".join([*rows[:200], *rows[200:] * 100, "no reading"]))
    model = Model.open(folder / "moves.onnx")
    assert gather(model, folder / "bad.csv", end=2.0).segments
    with pytest.raises(Exception, match="no reading"):
        gather(model, folder / "bad.csv")


# the parts


REDUCE: dict[Join, Callable[[Any], Any]] = {
    "max": np.fmax.reduce,
    "min": np.fmin.reduce,
    "mean": lambda part: np.nanmean(part, axis=0),
}


@pytest.mark.parametrize("join", REDUCE)
@pytest.mark.parametrize("window", [(0.0, np.inf), (1.0, 40.0), (100.0, 100.1)])
def test_columns_join_what_shares_them(join: Join, window: tuple[float, float]) -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(40_000, 2))
    rows[5000:9000] = np.nan
    strips = []
    for longest in (1_000, 40_000):
        columns, at = Columns(join, 2, 0.01, window), 0
        while at < len(rows):
            size = int(random.integers(1, longest + 1))
            columns.add(at, rows[at : at + size])
            at += size
        strips.append(columns.strip)
    a, b = strips
    assert (a.start, a.step) == (b.start, b.step)
    np.testing.assert_allclose(a.values, b.values, atol=1e-12)
    each, first = round(a.step / 0.01), round(a.start / 0.01)
    assert len(a.values) <= 4096 < 2 * max(len(a.values), 2049 if each == 1 else 0)
    reduce = REDUCE[join]
    last = min(len(rows), round(window[1] / 0.01) if np.isfinite(window[1]) else len(rows))
    for index, values in enumerate(a.values[::7]):
        part = rows[first + 7 * index * each : min(last, first + (7 * index + 1) * each)]
        if np.isnan(part).all():
            assert np.isnan(values).all()
        else:
            np.testing.assert_allclose(values, reduce(part), atol=1e-12)


@pytest.mark.parametrize("rate", [100, 8000, 16000, 22050, 44100])
def test_the_spectrogram_is_the_same_for_any_cutting(rate: int) -> None:
    sound = np.random.default_rng(rate).normal(size=2 * rate + 7)
    whole = LogMel(rate, rate / 2)
    levels = np.concatenate([whole.push(sound), whole.flush()])
    assert levels.shape == (round(len(sound) / rate * 100), BANDS)
    pieces = LogMel(rate, rate / 2)
    cut = [pieces.push(part) for part in np.split(sound, range(0, len(sound), 97))]
    np.testing.assert_allclose(np.concatenate([*cut, pieces.flush()]), levels, atol=1e-9)


def test_the_spectrogram_shows_tones_and_moments_where_they_are() -> None:
    time = np.arange(32000) / 16000
    for hertz in (300, 1000, 5000):
        mel = LogMel(16000, 8000)
        levels = mel.push(np.sin(2 * np.pi * hertz * time))
        middle = (int(levels[100].argmax()) + 1) * to_mel(8000) / (BANDS + 1)
        assert abs(middle - to_mel(hertz)) < to_mel(8000) / (BANDS + 1)
    mel, click = LogMel(16000, 8000), np.zeros(32000)
    click[16000 + 80] = 1
    assert int(mel.push(click).sum(axis=1).argmax()) == 100


def test_the_longest_are_kept() -> None:
    lengths = np.random.default_rng(0).permutation(1000)
    longest = Longest[Segment](100)
    for index, length in enumerate(lengths.tolist()):
        longest.add(Segment("a", index, index + length, 1.0, id=index))
    assert {round(event.end - event.start) for event in longest.events} == set(range(900, 1000))
    assert longest.left_out == 900
    assert [event.id for event in longest.events] == sorted(event.id for event in longest.events)


# the picture


def spans(collection: Collection) -> list[tuple[float, float]]:
    """Return where each of some shapes begins and ends."""
    times = [np.asarray(path.vertices)[:, 0] for path in collection.get_paths()]
    return [(float(time.min()), float(time.max())) for time in times]


def bars(figure: Figure) -> list[tuple[float, float]]:
    """Return the times of the segments that are drawn."""
    shapes = figure.axes[_rows(figure) - 1].collections
    return sorted(
        span for one in shapes if isinstance(one, PolyCollection) and not one.get_hatch() for span in spans(one)
    )


def _rows(figure: Figure) -> int:
    return len([axes for axes in figure.axes if axes.get_subplotspec() is not None])


def test_bars_and_hatches_lie_where_the_events_do(spoken: Scene, walked: Scene) -> None:
    for scene in (spoken, walked):
        figure = compose(scene)
        assert bars(figure) == sorted((segment.start, segment.end) for segment in scene.segments)
        for axes in figure.axes[: _rows(figure)]:
            assert axes.get_xlim() == (scene.start, scene.end)
            (hatched,) = (one for one in axes.collections if one.get_hatch() is not None)
            assert spans(hatched) == [(gap.start, gap.end) for gap in scene.gaps]
        boxes = [axes.get_position() for axes in figure.axes[: _rows(figure)]]
        assert {(round(box.x0, 6), round(box.x1, 6)) for box in boxes} == {
            (round(boxes[0].x0, 6), round(boxes[0].x1, 6))
        }


def test_labels_are_written_where_they_fit(spoken: Scene) -> None:
    figure = compose(spoken, size=(30, 8))
    axes = figure.axes[_rows(figure) - 1]
    assert len(axes.texts) > 30
    for text in axes.texts:
        box = text.get_window_extent().transformed(axes.transData.inverted())
        (segment,) = (one for one in spoken.segments if one.start < text.get_position()[0] < one.end)
        assert text.get_text() == segment.label
        assert max(spoken.start, segment.start) <= box.x0 < box.x1 <= segment.end


def texts(path: Path) -> list[str]:
    """Return what is written in an SVG file."""
    return [element.text or "" for element in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def test_svg_of_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.svg"
    assert run(capsys, READER, "--out", out) == (0, f"{out}\n", "")
    written = texts(out)
    for text in (
        "amplitude",
        "frequency (kHz)",
        "dB",
        "probability",
        "segments",
        "time (s)",
        "reader.flac",
        "phonemes-en",
    ):
        assert written.count(text) == 1, text
    labels = {segment.label for segment in transcribe_file(Model.open(), READER).segments}
    assert {"SIL", "AY", "SH"} <= labels <= set(written)
    shown = {"SIL", *ARPABET} & set(written)
    assert f"label ({len(shown)} of 40)" in written
    assert len(labels) <= len(shown) < 40
    first = out.read_bytes()
    assert run(capsys, READER, "--out", out, "--ipa", "--title", "a & <b>", "--start", 1, "--end", "2.5")[0] == 0
    written = texts(out)
    assert {to_ipa("SH"), to_ipa("AY"), "a & <b>", "1.0", "2.4"} <= set(written)
    assert not {"SH", "reader.flac", "3.0"} & set(written)
    assert run(capsys, READER, "--out", out)[0] == 0
    assert out.read_bytes() == first, "the same picture has the same bytes"
    assert [path.name for path in tmp_path.iterdir()] == ["a.svg"]


def test_svg_of_readings(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.svg"
    code, _, err = run(capsys, folder / "walk.csv", "--model", folder / "moves.onnx", "--out", out)
    assert (code, err) == (0, f"streamcell: warning: {folder / 'walk.csv'} has odd readings: duplicate 1\n")
    assert {*CHANNELS, *LABELS, "g", "rad/s", "probability", "segments", "gap", "reset", "time (s)"} <= set(texts(out))


@pytest.mark.parametrize("size", [None, (4.0, 3.0), (3.0, 3.0)])
def test_png_has_its_size(size: tuple[float, float] | None, folder: Path, tmp_path: Path) -> None:
    scene = gather(Model.open(folder / "moves.onnx"), folder / "walk.csv", end=3.0)
    draw(scene, tmp_path / "a.PNG", size=size)
    picture = matplotlib.image.imread(BytesIO((tmp_path / "a.PNG").read_bytes()))
    width, height = size or (12, picture.shape[0] / 150)
    assert picture.shape[:2] == (150 * height, 150 * width)
    assert picture[..., :3].std() > 0.05


def test_a_picture_with_no_room_is_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = (folder / "walk.csv", "--model", folder / "moves.onnx", "--out", tmp_path / "a.png", "--size", "1.5x1")
    code, _, err = run(capsys, *call)
    assert (code, "1.5 x 1 inches have no room" in err) == (2, True), err
    assert list(tmp_path.iterdir()) == []


def test_the_users_settings_change_nothing(folder: Path, tmp_path: Path) -> None:
    scene = gather(Model.open(folder / "moves.onnx"), folder / "walk.csv", end=3.0)
    draw(scene, tmp_path / "a.svg")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "svg.fonttype": "path"}):
        draw(scene, tmp_path / "b.svg")
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_labels_that_hold_each_by_itself_and_strange_names(folder: Path, tmp_path: Path) -> None:
    output = OutputSpec("logits", "probabilities", ("a $x_1$", "<b> & c", "bell\x07", "w" * 200), None, None, 0.02)
    model = Model.open(sensor_model(outputs=(output,), name="x" * 500))
    scene = gather(model, folder / "walk.csv")
    assert not scene.exclusive
    draw(scene, tmp_path / "a.svg", title="")
    written = texts(tmp_path / "a.svg")
    assert {"a $x_1$", "<b> & c", "bell\ufffd", "w" * 19 + "..." + "w" * 18} <= set(written)
    assert not any("x" * 100 in text for text in written)


def test_many_channels_and_labels_are_images(tmp_path: Path) -> None:
    model = Model.open(features_model(inputs=70, hidden=8, labels=90, rate=10))
    rows = np.cumsum(np.random.default_rng(0).normal(size=(80, 70)), axis=0)
    (tmp_path / "a.csv").write_text("\n".join(",".join(map(str, row)) for row in rows.tolist()))
    figure = compose(gather(model, tmp_path / "a.csv"))
    channels, labels, segments = figure.axes[: _rows(figure)]
    assert channels.images[0].get_array().shape == (70, 80)  # type: ignore[union-attr]
    np.testing.assert_allclose(channels.images[0].get_array(), rows.T, rtol=1e-6)  # type: ignore[arg-type]
    assert channels.get_yticklabels()[0].get_text() == channel_names(model.manifest.input)[0]
    assert re.fullmatch(r"label \(\d+ of 90\)", labels.get_ylabel())
    assert [text.get_text() for text in segments.texts] == ["none"]


def test_long_files_have_minutes_and_few_columns(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 16000 * 200), 16000)
    model = Model.open(tiny_model(samples_per_step=160, sample_rate=16000))
    scene = gather(model, tmp_path / "a.wav")
    assert scene.mel is not None
    for strip in (scene.mel, scene.probabilities, scene.panels[0].low):
        assert 2048 < len(strip.values) <= 4096
    figure = compose(scene)
    assert figure.axes[_rows(figure) - 1].get_xlabel() == "time (min:s)"
    assert "2:00" in [text.get_text() for text in figure.axes[_rows(figure) - 1].get_xticklabels()]


# the command


def test_the_picture_is_named_after_the_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny = folder / "tiny.onnx"
    assert run(capsys, READER.absolute(), "--model", tiny, "--size", "3x3")[:2] == (0, "reader.png\n")
    assert matplotlib.image.imread(tmp_path / "reader.png").shape[:2] == (450, 450)


def test_a_pipe_is_read(folder: Path, tmp_path: Path) -> None:
    call = [sys.executable, "-m", "streamcell", "plot", "-", "--model", str(folder / "moves.onnx"), "--out"]
    with (folder / "walk.csv").open("rb") as source:
        done = subprocess.run(
            [*call, str(tmp_path / "a.svg")], stdin=source, capture_output=True, text=True, check=True
        )
    assert done.stdout == f"{tmp_path / 'a.svg'}\n"
    assert set(CHANNELS) <= set(texts(tmp_path / "a.svg"))


def test_lines_that_are_no_readings_are_skipped_where_asked(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_text(
        "ms,acc_x,acc_y,gyr_z\n" + "".join(f"{20 * k},1,{k % 7 or 'x'},0\n" for k in range(99))
    )
    call = (
        tmp_path / "a.csv",
        "--model",
        folder / "moves.onnx",
        "--out",
        tmp_path / "a.png",
        "--time",
        "ms",
        "--size",
        "3x3",
    )
    code, _, err = run(capsys, *call)
    assert (code, "line 2, column 'acc_y'" in err) == (2, True)
    code, _, err = run(capsys, *call, "--on-error", "skip")
    assert code == 0
    assert err.splitlines()[0].endswith(
        "15 lines of " + f"{tmp_path / 'a.csv'} were left out: 2, 9, 16, 23, 30, 37, 44, 51, 58, 65, ..."
    )


def test_columns_of_other_names_and_gaps_that_are_bridged(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    times = [k / 50 for k in range(200) if not 80 <= k < 95]
    (tmp_path / "a.csv").write_text("time,u,v,w\n" + "".join(f"{t},1,0,0\n" for t in times))
    call = (tmp_path / "a.csv", "--model", folder / "moves.onnx", "--out", tmp_path / "a.svg", "--size", "4x4")
    code, _, err = run(capsys, *call)
    assert (code, "in the model's order (--channels)" in err) == (2, True)
    for more, gaps in (([], True), (["--max-gap", "0.5"], False)):
        code, _, err = run(capsys, *call, "--channels", "u,v,w", *more)
        assert (code, err) == (0, "")
        assert (">gap<" in (tmp_path / "a.svg").read_text()) is gaps


def test_a_cut_file_is_drawn_and_said(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.flac").write_bytes(READER.read_bytes()[:-9000])
    code, _, err = run(capsys, tmp_path / "a.flac", "--model", folder / "tiny.onnx", "--out", tmp_path / "a.png")
    assert code == 1
    assert "a.flac is cut or damaged; what could be read of it is drawn" in err
    assert (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["@reader", "--out", "a.pdf"], "a.pdf: expected a name that ends with .png or .svg"),
        (["@reader", "--out", "no/a.png"], "no is no folder"),
        (["@reader", "--out", "folder.png"], "is a folder"),
        (["a.png"], "a.png: is the file that is to be read; name another"),
        (["-"], "say with --out what to write"),
        (["none.wav"], "no such file: none.wav"),
        (["empty.wav"], "empty.wav is empty"),
        (["short.wav"], "short.wav lasts 0.005 s, less than one step of the model, 0.01 s"),
        (["@reader", "--start", "4"], "expected a start within"),
        (["@reader", "--start", "2", "--end", "2"], "an end after it, got 2.0 and 2.0"),
        (["@reader", "--start", "-1"], "expected a start of 0 s or more"),
        (["@reader", "--start", "nan"], "expected a start of 0 s or more"),
        (["@reader", "--time", "t"], "--time is about readings of sensors; the model takes audio"),
        (["@reader", "--size", "12"], "expected WxH"),
        (["@reader", "--size", "9x900"], "expected WxH"),
        (["@reader", "--ipa", "--model", "moves.onnx"], "IPA needs a model"),
        (["a.csv", "--model", "moves.onnx", "--gap"], "--gap is about audio"),
        (["empty.csv", "--model", "moves.onnx"], "empty.csv is empty"),
        (["header.csv", "--model", "moves.onnx"], "holds a header, but no readings after it"),
        (["nothing.csv", "--model", "moves.onnx"], "nothing.csv lasts 0.000 s, less than one step"),
    ],
)  # fmt: skip
def test_errors_are_one_line_and_2(
    arguments: list[str],
    message: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    reader = str(READER.absolute())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    for name, text in {"a.png": "x", "empty.wav": "", "a.csv": "1,2,3\n", "empty.csv": ""}.items():
        Path(name).write_text(text)
    Path("header.csv").write_text("acc_x,acc_y,gyr_z\n")
    Path("nothing.csv").write_text("t,acc_x,acc_y,gyr_z\n0,nan,nan,nan\n")
    Path("moves.onnx").write_bytes((folder / "moves.onnx").read_bytes())
    soundfile.write("short.wav", np.zeros(80), 16000)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    model = [] if "--model" in arguments else ["--model", folder / "tiny.onnx"]
    code, out, err = run(capsys, *(reader if one == "@reader" else one for one in arguments), *model)
    assert (code, out) == (2, "")
    assert message in err
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_without_matplotlib_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "streamcell.runtime.plot.picture")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = run(capsys, READER, "--out", "a.png")
    assert (code, out) == (2, "")
    assert err == f"streamcell: error: {MissingExtraError('matplotlib', 'plot', 'to draw a picture')}\n"


def test_help_has_examples_and_needs_no_matplotlib() -> None:
    code = (
        "import sys; from streamcell.runtime.cli.main import main\n"
        "try: main(['plot', '--help'])\nexcept SystemExit: pass\n"
        "print('heavy:', *[m for m in ('torch', 'onnxruntime', 'matplotlib', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "examples:\n  streamcell plot speech.wav" in done.stdout
    assert done.stdout.splitlines()[-1].split() == ["heavy:"]


def test_another_ending_is_refused_by_the_library_too(walked: Scene, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a name that ends with \.png or \.svg"):
        draw(walked, tmp_path / "a.pdf")
    with pytest.raises(FileNotFoundError):
        draw(replace(walked, end=walked.start + 1), tmp_path / "no" / "a.png", size=(3, 3))
    assert list(tmp_path.iterdir()) == []


def test_resets_by_a_policy_are_drawn_where_they_are(phonemes: Model, tmp_path: Path) -> None:
    model = phonemes.with_reset(ResetPolicy(every=0.8))
    scene = gather(model, READER)
    sound, rate = soundfile.read(READER, dtype="float32")
    stream = Stream(model, rate, quality="file")
    told = [event for event in [*stream.push(sound), *stream.flush()] if isinstance(event, Reset)]
    assert len(told) == int(len(sound) / rate / 0.8)
    assert list(scene.resets) == told
