"""A forecast is the last frame, sorted and named; tables are read as they are written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers import tiny_model
from sequences import described, exported, network_for, rows
from streamcell.runtime.errors import InputError, ModelError, SourceError
from streamcell.runtime.forecast import Horizons, forecast
from streamcell.runtime.model import Model
from streamcell.runtime.past import Past, read_past, show_time
from streamcell.runtime.plot.fan import compose
from streamcell.runtime.stream import Stream
from streamcell.train.models import SequenceNet

CHANNELS = ("load", "heat")
SETTINGS: dict[str, Any] = {"target": "heat", "horizons": [1, 2, 6], "quantiles": [0.1, 0.5, 0.9]}


def forecaster(settings: dict[str, Any] = SETTINGS, **changes: Any) -> tuple[SequenceNet, Model]:
    spec = changes.pop("spec", rows(2, channel_names=CHANNELS))
    labels = changes.pop("labels", Horizons("heat", (1, 2, 6), (0.1, 0.5, 0.9)).labels)
    network = network_for(spec, len(labels))
    return network, exported(network, described(network, spec, "forecast", labels, decoder=settings, **changes))


def history(count: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal((count, 2)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 65, 5000])
def test_a_forecast_is_torchs_last_frame_sorted(count: int) -> None:
    network, model = forecaster()
    past = history(count)
    with torch.no_grad():
        frames, _ = network(torch.tensor(past[None]), network.initial_state(1))
    expected = np.sort(frames[0, -1].numpy().reshape(3, 3), axis=1)
    np.testing.assert_allclose(forecast(model, past), expected, atol=1e-5)
    np.testing.assert_allclose(forecast(model, past.astype(np.float64)), expected, atol=1e-5)


def test_columns_are_horizon_by_horizon() -> None:
    horizons = Horizons.of(forecaster()[1].manifest)
    assert horizons == Horizons("heat", (1, 2, 6), (0.1, 0.5, 0.9))
    assert horizons.labels[:4] == ("heat +1 q0.1", "heat +1 q0.5", "heat +1 q0.9", "heat +2 q0.1")
    assert horizons.table(np.arange(9)).tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert horizons.table([2, 1, 0, 3, 4, 5, 8, 6, 7]).tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    with pytest.raises(InputError, match=r"a frame of 9 numbers, got \[8\]"):
        horizons.table(np.zeros(8))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"horizons": []}, "decoder.horizons must be rising steps from 1"),
        ({"horizons": [0, 1, 2]}, "decoder.horizons"),
        ({"horizons": [2, 1, 6]}, "decoder.horizons"),
        ({"horizons": [1.5]}, r"decoder.horizons\[0\] must be an integer"),
        ({"horizons": 3}, "decoder.horizons must be a list"),
        ({"quantiles": [0.5, 0.1]}, "decoder.quantiles must be rising, above 0"),
        ({"quantiles": [0.0, 0.5]}, "decoder.quantiles"),
        ({"quantiles": ["0.5"]}, r"decoder.quantiles\[0\] must be a number"),
        ({"target": 3}, "decoder.target must be a string"),
        ({"target": "load"}, r"outputs\[0\].labels must be 9: 'load \+1 q0.1'"),
        ({"horizons": [1, 2, 3]}, r"outputs\[0\].labels must be"),
        ({"name": "x"}, "decoder.name is not a known key"),
    ],
)
def test_a_hostile_manifest_is_a_model_error(change: dict[str, Any], words: str) -> None:
    _, model = forecaster({**SETTINGS, **change})
    with pytest.raises(ModelError, match=words):
        forecast(model, history(3))


def test_what_does_not_fit_is_refused() -> None:
    _, model = forecaster()
    with pytest.raises(ModelError, match=r"decoder\.target is missing"):
        forecast(model.with_decoder({}), history(3))
    with pytest.raises(ModelError, match="task 'ctc'; only one of task 'forecast'"):
        forecast(Model.open(tiny_model()), history(3))
    with pytest.raises(InputError, match="at least one row of the past, got none"):
        forecast(model, np.zeros((0, 2), np.float32))
    with pytest.raises(InputError, match=r"expected features \[n, 2\]"):
        forecast(model, np.zeros((4, 3), np.float32))
    with pytest.raises(ModelError, match=r"has no segments, it forecasts: use `streamcell forecast`"):
        Stream(model)


def table(folder: Path, text: str, name: str = "table.csv") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_a_table_of_dates_is_read_with_its_times(tmp_path: Path) -> None:
    path = table(
        tmp_path, "date,heat,x,load\n2016-07-01 00:00:00,1,9,2\n2016-07-01 01:00:00,3,9,4\n2016-07-01 02:00:00,5,9,6\n"
    )
    past = read_past(path, CHANNELS)
    assert past.values.tolist() == [[2, 1], [4, 3], [6, 5]]
    assert past.interval == 3600
    assert [show_time(past.seconds(step) or 0) for step in (-2, 0, 2)] == [
        "2016-07-01 00:00:00",
        "2016-07-01 02:00:00",
        "2016-07-01 04:00:00",
    ]
    first = past.first(2)
    assert (first.values.tolist(), first.seconds(1)) == ([[2, 1], [4, 3]], past.seconds(0))


def test_a_table_may_have_no_times_or_uneven_ones(tmp_path: Path) -> None:
    bare = read_past(table(tmp_path, "heat;load\n1;2\n3;4\n"), CHANNELS)
    assert (bare.values.tolist(), bare.times, bare.interval, bare.seconds(1)) == ([[2, 1], [4, 3]], None, None, None)
    uneven = read_past(table(tmp_path, "time,heat,load\n0,1,2\n1,3,4\n5,3,4\n"), CHANNELS)
    assert (uneven.interval, uneven.seconds(0), uneven.seconds(-1), uneven.seconds(1)) == (None, 5.0, 1.0, None)
    both = read_past(table(tmp_path, "date,time,heat,load\n2016-07-01,0,1,2\n2016-07-02,1,3,4\n"), CHANNELS)
    assert both.interval == 1.0
    named = read_past(table(tmp_path, "date,time,heat,load\n2016-07-01,0,1,2\n2016-07-02,1,3,4\n"), CHANNELS, "date")
    assert named.interval == 86400
    lines = read_past(table(tmp_path, '{"heat": 1, "load": 2}\n'), CHANNELS)
    assert lines.values.tolist() == [[2, 1]]
    assert Past(lines.values, np.array([3.0])).seconds(1) is None


def test_holes_and_other_lines_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"reading 2 has no finite 'heat'; fill it"):
        read_past(table(tmp_path, "heat,load\n1,2\nnan,4\n"), CHANNELS)
    with pytest.raises(SourceError, match=r"line 3, column 'load'"):
        read_past(table(tmp_path, "heat,load\n1,2\n3,\n"), CHANNELS)
    assert read_past(table(tmp_path, "heat,load\n1,2\n3,\n5,6\n"), CHANNELS, on_error="skip").skipped == 1
    with pytest.raises(SourceError, match="no such file"):
        read_past(str(tmp_path / "none.csv"), CHANNELS)


def test_a_fan_shows_each_pair_of_quantiles_the_past_and_what_came() -> None:
    values = np.arange(40, dtype=np.float32)[:, None]
    past = Past(values[:30], np.arange(1467331200.0, 1467331200 + 30 * 3600, 3600))
    for steps, bands in (((1, 2, 3), "fill"), ((1,), "lines")):
        horizons = Horizons("load", steps, (0.1, 0.25, 0.5, 0.75, 0.9))
        table = np.arange(5 * len(steps), dtype=np.float32).reshape(-1, 5)
        (axes,) = compose(horizons, table, past, 0, came=values[30:], title="a title").axes
        names = [text.get_text() for text in axes.get_legend().get_texts()]  # type: ignore[union-attr]
        assert names == ["10% to 90%", "25% to 75%", "median", "past", "what came"], bands
        assert len(axes.collections) == 2
        _, heard, came, _ = axes.lines
        assert np.asarray(heard.get_ydata()).tolist() == values[:30, 0].tolist()
        assert np.asarray(came.get_ydata()).tolist() == values[30 : 30 + len(steps), 0].tolist()
        assert axes.get_title() == "a title"
