"""The simulated phone: its two sensors tell of one movement, and its files are what training reads."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from helpers import SAMPLES, load_script
from streamcell.train.data.sensor import read_sensor, split


@pytest.fixture(scope="module")
def simulate() -> ModuleType:
    return load_script(SAMPLES.parent / "activity" / "simulate.py")


def turn(rate: np.ndarray) -> np.ndarray:
    """Return the rotation by a turning rate over one sample (Rodrigues)."""
    angle = np.linalg.norm(rate) / 50
    x, y, z = rate / max(float(np.linalg.norm(rate)), 1e-12)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_gyroscope_leads_from_one_direction_of_gravity_to_the_next(seed: int, simulate: ModuleType) -> None:
    rng = np.random.default_rng(seed)
    values, labels = simulate.move(simulate.make_person(rng), simulate.plan(rng), rng)
    gravity = values[0, :3]
    still = np.isin(labels, ["sitting", "laying"])
    assert still.sum() > 1000
    directions = set()
    for row, calm in zip(values, still.tolist(), strict=True):
        if calm:
            assert np.abs(row[:3] - gravity).max() < 0.01
            directions.add(tuple(row[:3].round(0)))
        gravity = turn(row[3:]).T @ gravity
    assert len(directions) >= 2


def test_people_walk_and_lie_as_people_do(simulate: ModuleType) -> None:
    cadences = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        person = simulate.make_person(rng)
        values, found = simulate.record(person, [("standing", 6.0), ("walking", 30.0), ("laying", 6.0)], rng)
        labels = np.array(found)
        force = np.linalg.norm(values[:, :3], axis=1)
        assert abs(force[labels == "standing"].mean() - 1) < 0.05
        assert force[labels == "standing"].std() < 0.02
        assert 0.1 < force[labels == "walking"].std() < 0.5
        assert values[labels == "standing", 0].mean() > 0.7
        assert abs(values[labels == "laying", 0][-100:].mean()) < 0.7
        gait = force[labels == "walking"] - force[labels == "walking"].mean()
        spectrum = np.abs(np.fft.rfft(gait * np.hanning(len(gait))))
        cadences.append(np.fft.rfftfreq(len(gait), 1 / 50)[spectrum.argmax()])
        assert cadences[-1] == pytest.approx(1.85 * person.cadence, rel=0.05)
    assert np.std(cadences) > 0.03


def run(simulate: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["simulate.py", *arguments])
    simulate.main()


def test_the_folder_is_what_training_reads(
    simulate: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        run(simulate, monkeypatch, "--out", str(tmp_path / name), "--people", "2", "--seed", "3")
    run(simulate, monkeypatch, "--out", str(tmp_path / "other"), "--people", "2", "--seed", "4")
    data, again, other = (
        read_sensor("recordings", tmp_path / name, sample_rate=50, channels=simulate.CHANNELS)
        for name in ("one", "two", "other")
    )
    assert data.fingerprint == again.fingerprint != other.fingerprint
    names = [*simulate.POSTURES, *simulate.GAITS]
    names += ["stand_to_sit", "sit_to_stand", "sit_to_lie", "lie_to_sit", "stand_to_lie", "lie_to_stand"]
    assert data.labels == tuple(sorted(names))
    for one in data.recordings:
        assert set(one.labels.tolist()) == {-1, *range(12)}
        assert len(one.labels) > 50 * 120
    training, validation = split(data, ("simulated02",))
    assert [one.name for one in training] == ["simulated01/1", "simulated01/2"]
    assert [one.name for one in validation] == ["simulated02/1", "simulated02/2"]


def test_the_excerpt_is_a_minute(simulate: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run(simulate, monkeypatch, "--excerpt", str(tmp_path / "simulated.csv"))
    (one,) = read_sensor("recordings", tmp_path, sample_rate=50, channels=simulate.CHANNELS).recordings
    assert len(one.labels) == 3000
    assert len(set(one.labels.tolist())) == 10
    assert (tmp_path / "simulated.csv").stat().st_size < 200_000
    assert [path.name for path in tmp_path.iterdir()] == ["simulated.csv"]


@pytest.mark.parametrize("arguments", [[], ["--excerpt", "x.csv", "--people", "0"], ["--out", "."]])
def test_bad_arguments_end_with_2(
    arguments: list[str],
    simulate: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "there.csv").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        run(simulate, monkeypatch, *arguments)
    assert capsys.readouterr().err.splitlines()[-1].startswith("simulate.py: error: ")
    assert [path.name for path in tmp_path.iterdir()] == ["there.csv"]
