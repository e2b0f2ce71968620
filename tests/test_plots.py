"""Pictures are drawn from whatever a run has so far."""

from pathlib import Path

import matplotlib.image
import pytest

from streamcell.train.metrics import confusions
from streamcell.train.plots import plot_confusions, plot_curves, plot_fading

ROW = {"update": 10, "ctc": 0.0, "frame": 2.0, "validation": 9.0, "error_rate": 0.9}


@pytest.mark.parametrize("log", [[ROW], [ROW, {**ROW, "update": 20, "ctc": 1.5, "error_rate": 0.5}]])
def test_curves(tmp_path: Path, log: list[dict[str, float]]) -> None:
    plot_curves(log, "phone error rate", tmp_path / "curves.png")
    picture = matplotlib.image.imread(tmp_path / "curves.png")
    assert picture.shape[1] > 800
    assert picture.std() > 0.05


@pytest.mark.parametrize("heard", [["K", "AE", "T"], [], ["K", "AH", "T", "S"]])
def test_confusions(tmp_path: Path, heard: list[str]) -> None:
    plot_confusions(confusions([(["K", "AE", "T"], heard)]), tmp_path / "confusions.png")
    assert matplotlib.image.imread(tmp_path / "confusions.png").std() > 0.05


@pytest.mark.parametrize("shares", [[1.0, 0.5, 0.25], [1.0, 1e3, 1e9], [1.0, 1e-9, 0.0], [1.0, 1.0, 1.0]])
def test_fading(tmp_path: Path, shares: list[float]) -> None:
    plot_fading({"h0": shares, "h1": [1.0, 0.9, 0.8]}, "each layer", tmp_path / "fading.png")
    assert matplotlib.image.imread(tmp_path / "fading.png").std() > 0.05
