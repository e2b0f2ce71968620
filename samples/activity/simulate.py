"""Simulate a phone at the waist of people who stand, sit, lie, walk and climb stairs. Nothing of it was recorded.

    python samples/activity/simulate.py --out data/simulated --people 12 --seed 1
    python samples/activity/simulate.py --excerpt samples/activity/simulated.csv

The waist is one rigid body. Its height and tilt follow the posture, from one to the next by the smoothest way (minimum
jerk); gait adds harmonics of the steps and swings in three angles. Accelerometer (g, gravity in it) and gyroscope
(rad/s) both follow from that one movement: the gyroscope is what turns each sample's orientation into the next.
Everyone has postures, a gait and a way of wearing the phone, and a phone with errors of its own. The folders are named
`simulated01` and so on, their CSV files have 50 rows a second; `-` as the label says that nobody knows.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamcell.train.data.motion import random_rotation

Array = NDArray[np.float64]
Step = tuple[str, float]  # an activity and how long it lasts, s

RATE = 50  # Hz
CHANNELS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
RAMP = 0.7  # s, in which a gait comes and goes
POSTURES = {  # tilt forward and to the right, rad; height of the waist, m; sway, rad
    "standing": (0.0, 0.0, 0.95, 0.008),
    "sitting": (-0.35, 0.0, 0.55, 0.005),
    "laying": (-1.5, 0.0, 0.45, 0.002),
}
ENDS = {"stand": "standing", "sit": "sitting", "lie": "laying"}  # of "sit_to_stand" and the like
GAITS = {  # steps a second; forward and sideways amplitude, g; tilt forward, rad; upward harmonics: g, phase
    "walking": (1.85, 0.14, 0.09, 0.02, ((0.26, 0.0), (0.10, 0.9), (0.04, 1.8))),
    "walking_upstairs": (1.55, 0.09, 0.11, 0.15, ((0.20, 0.0), (0.11, -1.1), (0.03, 0.4))),
    "walking_downstairs": (1.95, 0.12, 0.10, -0.03, ((0.30, 0.0), (0.20, 0.4), (0.13, 0.6))),
}


@dataclass(frozen=True, slots=True)
class Person:
    """What differs between people, and between their phones."""

    cadence: float  # factor
    vigour: float  # factor
    tilts: dict[str, Array]  # of each posture, rad
    phone: Array  # [3, 3], from the phone's axes to the body's (forward, left, up)
    gain: Array  # [6]
    bias: Array  # [6], g and rad/s


def make_person(rng: np.random.Generator) -> Person:
    """Draw somebody."""
    return Person(
        cadence=float(np.exp(rng.normal(0, 0.07))),
        vigour=float(np.exp(rng.normal(0, 0.2))),
        tilts={name: rng.normal(0, 0.06, 2) for name in POSTURES},
        phone=random_rotation(0.2, rng) @ np.array([[0, 0, 1.0], [0, -1, 0], [1, 0, 0]]),  # x up, screen forward
        gain=1 + rng.normal(0, 0.01, 6),
        bias=rng.normal(0, 0.01, 6),
    )


def plan(rng: np.random.Generator) -> list[Step]:
    """Return all postures, changes and gaits in an order that can be lived, some minutes."""
    still = "standing stand_to_sit sitting sit_to_stand standing stand_to_lie laying lie_to_sit sitting sit_to_lie"
    gaits = [str(name) for name in rng.permutation([*GAITS, *GAITS])]
    names = [*still.split(), "laying", "lie_to_stand", "standing", *gaits, "standing"]
    return [(name, float(rng.uniform(2, 4.5) if "_to_" in name else rng.uniform(9, 20))) for name in names]


def minute() -> list[Step]:
    """Return a minute with something of everything."""
    names = ["standing", "stand_to_sit", "sitting", "sit_to_stand", "standing", *GAITS, "standing", "stand_to_lie"]
    return list(zip([*names, "laying"], (6, 2.5, 6, 2, 4, 9, 9, 9, 4, 3, 5.5), strict=True))


def move(person: Person, steps: Sequence[Step], rng: np.random.Generator) -> tuple[Array, list[str]]:
    """Return what faultless sensors of `person`'s phone would give, `[N, 6]`, and a label for each row."""
    poses, extras, labels = list[Array](), list[Array](), list[str]()
    here = _pose(person, steps[0][0], rng)
    for (before, _), (name, seconds) in pairwise([steps[0], *steps]):
        count = round(seconds * RATE)
        there = here if name in POSTURES and before not in GAITS else _pose(person, name, rng)
        part = np.clip(np.arange(1, count + 1) / (count if "_to_" in name else RAMP * RATE), 0, 1)
        bump = np.sin(np.pi * part) ** 2 if "_to_" in name else np.zeros(count)
        pose = here + (there - here) * (10 * part**3 - 15 * part**4 + 6 * part**5)[:, None]
        pose[:, 0] += bump * (0.6 if "stand" in name else 0.1)  # the trunk leans forward on the way
        extra = _gait(person, name, count, rng) if name in GAITS else _stir(bump, rng)
        labels += ["-" if name in GAITS and power < 1 else name for power in extra[:, 6]]
        poses.append(pose)
        extras.append(extra)
        here = there
    return _sensed(np.concatenate(poses), np.concatenate(extras), rng) @ np.kron(np.eye(2), person.phone), labels


def _pose(person: Person, name: str, rng: np.random.Generator) -> Array:
    """Return tilt forward, tilt right, height, sway of what an activity holds or leads to."""
    posture = "standing" if name in GAITS else ENDS.get(name.partition("_to_")[2], name)
    pose = np.array(POSTURES[posture])
    if posture == "laying" and rng.random() < 0.4:  # on a side
        pose[:2] = -0.2, rng.choice([-1.4, 1.4])
    pose[:2] += person.tilts[posture] + rng.normal(0, 0.02, 2)
    pose[0] += GAITS[name][3] if name in GAITS else 0
    return pose


def _gait(person: Person, name: str, count: int, rng: np.random.Generator) -> Array:
    """Return accelerations forward, left, up (g), swings about these axes (rad), and power (0 to 1), `[count, 7]`."""
    cadence, forward, side, _, harmonics = GAITS[name]
    edge = np.minimum(np.arange(count), np.arange(count)[::-1]) / (RAMP * RATE)
    power = np.sin(np.pi / 2 * np.minimum(edge, 1)) ** 2
    step = 2 * np.pi * np.cumsum(cadence * person.cadence * (1 + 0.03 * _smooth(count, rng))) / RATE  # a turn a step
    up = sum((size * np.cos(k * step + phase) for k, (size, phase) in enumerate(harmonics, 1)), np.zeros(count))
    up *= 1 + 0.1 * np.cos(step / 2) + 0.05 * _smooth(count, rng)  # a stride is two steps, and no two are alike
    swings = [0.07 * np.sin(step / 2), 0.03 * np.cos(step), 0.10 * np.cos(step / 2)]
    rows = [forward * np.sin(step), side * np.sin(step / 2), up, *swings]
    return np.stack([*(row * power * person.vigour for row in rows), power], axis=1)


def _stir(power: Array, rng: np.random.Generator) -> Array:
    """Return as `_gait` what nobody plans while the posture changes."""
    return np.stack([size * power * _smooth(len(power), rng) for size in [*[0.08] * 3, *[0.06] * 3, 0.0]], axis=1)


def _sensed(poses: Array, extras: Array, rng: np.random.Generator) -> Array:
    """Return specific force (g) and turning rate (rad/s) along the body's axes, `[N, 6]`."""
    count = len(poses)
    sway = poses[:, 3:] * np.stack([_smooth(count, rng) for _ in range(3)], axis=1)
    breath = 0.003 * np.sin(2 * np.pi * 0.25 * np.arange(count) / RATE)
    heading = np.cumsum(0.25 * _smooth(count, rng) * extras[:, 6]) / RATE
    roll, pitch, yaw = (extras[:, 3:6] + sway).T + np.stack([poses[:, 1], poses[:, 0] + breath, heading])
    turned = _turn(yaw, 2) @ _turn(pitch, 1) @ _turn(roll, 0)  # from the body's axes to the world's
    force = np.einsum("nij,nj->ni", _turn(heading, 2), extras[:, :3])
    force[:, 2] += 1 + np.gradient(np.gradient(poses[:, 2])) * RATE**2 / 9.81
    forward = np.swapaxes(turned[:-1], 1, 2) @ turned[1:]
    sine = np.stack([forward[:, j, i] - forward[:, i, j] for i, j in ((1, 2), (2, 0), (0, 1))], axis=1) / 2
    size = np.linalg.norm(sine, axis=1, keepdims=True)
    rates = sine / np.maximum(size, 1e-9) * np.arcsin(np.minimum(size, 1)) * RATE
    return np.concatenate([np.einsum("nji,nj->ni", turned, force), np.append(rates, rates[-1:], axis=0)], axis=1)


def _turn(angle: Array, axis: int) -> Array:
    """Return rotations about one of the axes, `[N, 3, 3]`."""
    matrix = np.tile(np.eye(3), (len(angle), 1, 1))
    one, two = (axis + 1) % 3, (axis + 2) % 3
    matrix[:, one, one] = matrix[:, two, two] = np.cos(angle)
    matrix[:, two, one], matrix[:, one, two] = np.sin(angle), -np.sin(angle)
    return matrix


def _smooth(count: int, rng: np.random.Generator) -> Array:
    """Return noise of variance 1 that changes within about half a second, `[count]`."""
    window = np.hanning(RATE + 2)
    return np.convolve(rng.standard_normal(count + len(window) - 1), window / np.linalg.norm(window), "valid")


def record(person: Person, steps: Sequence[Step], rng: np.random.Generator) -> tuple[Array, list[str]]:
    """Return what `person`'s phone gives, with its gain, bias and noise, `[N, 6]`, and a label for each row."""
    values, labels = move(person, steps, rng)
    return values * person.gain + person.bias + rng.normal(0, 0.005, values.shape), labels


def write(path: Path, values: Array, labels: Sequence[str]) -> None:
    """Write a recording as CSV."""
    rows = zip(values.tolist(), labels, strict=True)
    lines = [f"{n / RATE:.2f},{','.join(f'{v:.4f}' for v in row)},{label}" for n, (row, label) in enumerate(rows)]
    path.write_text("\n".join([",".join(["time", *CHANNELS, "label"]), *lines, ""]), encoding="utf-8")


def main() -> None:
    """Parse, simulate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="new folder for the recordings, a folder a person")
    parser.add_argument("--excerpt", type=Path, help="CSV file for one minute of somebody who is not in the folder")
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if not (args.out or args.excerpt) or args.people < 1:
        parser.error("expected --out, --excerpt or both, and --people from 1")
    if args.out and args.out.exists() and any(args.out.iterdir()):
        parser.error(f"{args.out} is not empty; name a new folder")
    if args.excerpt:
        rng = np.random.default_rng([args.seed, 0])
        write(args.excerpt, *record(make_person(rng), minute(), rng))
    for number in range(1, args.people + 1 if args.out else 1):
        rng = np.random.default_rng([args.seed, number])
        person = make_person(rng)
        folder = args.out / f"simulated{number:02}"
        folder.mkdir(parents=True)
        for take in (1, 2):
            write(folder / f"{take}.csv", *record(person, plan(rng), rng))


if __name__ == "__main__":
    main()
