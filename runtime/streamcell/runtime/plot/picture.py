"""Draw a scene; the only file here that needs matplotlib."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from streamcell.runtime.errors import InputError, MissingExtraError
from streamcell.runtime.plot.columns import Strip
from streamcell.runtime.plot.layout import (
    LINES,
    colours,
    lanes,
    likely_labels,
    limits,
    reset_times,
    time_ticks,
    written,
)
from streamcell.runtime.plot.mel import BANDS, to_mel
from streamcell.runtime.plot.scene import MOST_LINES, Panel, Scene

try:
    from matplotlib import style
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
except ImportError as error:
    raise MissingExtraError("matplotlib", "plot", "to draw a picture") from error

__all__ = ["SUFFIXES", "compose", "draw"]

SUFFIXES = (".png", ".svg")
"""What a picture's name may end with."""

_DPI = 150
_WIDTH = 12.0  # inches
_TALLEST = 5.0  # inches, of a row
_SETTINGS = {
    "font.family": "DejaVu Sans",
    "axes.titlesize": "medium",
    "xtick.labelsize": "small",
    "ytick.labelsize": "small",
    "legend.fontsize": "small",
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "streamcell",
}
_FONT = 9.5  # points
_BESIDE: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.005, 1.03), "borderaxespad": 0}
_HATCHED: dict[str, Any] = {"facecolor": "#8080801f", "edgecolor": "#707070", "hatch": "////", "linewidth": 0.5}
_DASHED: dict[str, Any] = {"color": "#404040", "linestyle": "dashed", "linewidth": 1.0}
_DYNAMIC = 70.0  # dB of a spectrogram
_KILOHERTZ = (0.125, 0.25, 0.5, 1, 2, 4, 8, 16)
_POINTS = (9.0, 8.0, 7.0)  # of what is written into segments
_SMALLEST = 5.0  # where there is less room
_TALL = 0.7  # of a bar

_Painter: TypeAlias = Callable[[Axes], None]


def draw(scene: Scene, path: str | Path, *, size: tuple[float, float] | None = None, title: str | None = None) -> None:
    """Write a picture of a scene, whole or not at all.

    Args:
        scene: What `gather` found.
        path: Where to; its ending says whether as PNG or SVG. In SVG, text stays text.
        size: Width and height in inches; None for 12, and as much as the rows need.
        title: None for the file's name.

    Raises:
        InputError: If the ending is another, or the size has no room for all rows.
        MissingExtraError: On import, if matplotlib is not installed.
    """
    path = Path(path)
    form = path.suffix.lower()
    if form not in SUFFIXES:
        raise InputError(f"{path}: expected a name that ends with {' or '.join(SUFFIXES)}")
    unfinished = path.with_name(f"{path.name}.partial")
    metadata = {"Date": None} if form == ".svg" else {}
    figure = compose(scene, size=size, title=title)
    try:
        with _style(*figure.get_size_inches()):
            figure.savefig(unfinished, format=form[1:], dpi=_DPI, metadata=metadata)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def compose(scene: Scene, *, size: tuple[float, float] | None = None, title: str | None = None) -> Figure:
    """Return the figure that `draw` writes: a row for each panel of signals, spectrogram, probabilities, segments.

    Raises:
        InputError: If the size has no room for all rows.
    """
    rows = list(_rows(scene))
    heights = [height for height, _ in rows]
    width, height = size or (_WIDTH, sum(heights) + 0.9)
    with _style(width, height):
        figure = Figure(figsize=(width, height), layout="constrained")
        every: list[Axes] = list(figure.subplots(len(rows), sharex=True, squeeze=False, height_ratios=heights)[:, 0])
        for axes, (_, paint) in zip(every, rows, strict=True):
            axes.set_xlim(scene.start, scene.end)
            paint(axes)
            _mark(axes, scene)
        _head(every[0], scene, title, width)
        _foot(every[-1], scene)
        figure.align_ylabels(every)
        _lay_out(figure)
        _write_labels(figure, every[-1], scene)
        for axes in every:
            if axes.yaxis.label.get_window_extent().height > 1.3 * axes.get_window_extent().height:
                axes.set_ylabel("")  # there is no room for it
    return figure


def _lay_out(figure: Figure) -> None:
    """Give everything its place."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "constrained_layout not applied")
        try:
            figure.draw_without_rendering()
        except UserWarning as warning:
            width, height = figure.get_size_inches()
            raise InputError(f"{width:g} x {height:g} inches have no room for all rows; choose more") from warning


@contextmanager
def _style(width: float, height: float) -> Iterator[None]:
    """Draw alike whatever the user's own settings are, with smaller letters where there is less room."""
    font = _FONT * max(0.6, min(1.0, width / 8, height / 4.5))
    with style.context(["default", {**_SETTINGS, "font.size": font}]):
        yield


def _rows(scene: Scene) -> Iterator[tuple[float, _Painter]]:
    """Yield the rows, each with its height in inches."""
    for panel in scene.panels:
        if len(panel.names) > MOST_LINES:
            yield _tall(len(panel.names)), partial(_draw_channels, panel=panel)
        else:
            yield max(1.6, 0.2 * len(panel.names)) if panel.names else 1.1, partial(_draw_signals, panel=panel)
    if scene.mel is not None:
        yield 1.7, partial(_draw_spectrogram, mel=scene.mel, top=scene.top)
    if len(scene.labels) > MOST_LINES:
        heard = likely_labels(scene)
        yield _tall(len(heard)), partial(_draw_image, scene=scene, heard=heard)
    else:
        yield max(1.7, 0.2 * len(scene.labels)), partial(_draw_areas if scene.exclusive else _draw_curves, scene=scene)
    yield min(0.25 + 0.38 * len({*lanes(scene.segments), 0}), _TALLEST), partial(_draw_segments, scene=scene)


def _tall(rows: int) -> float:
    return min(max(0.5 + 0.11 * rows, 1.1), _TALLEST)


def _draw_signals(axes: Axes, panel: Panel) -> None:
    """Draw lines, or, where several samples share a column, all that lies between the smallest and the largest."""
    low, high = panel.low, panel.high
    plain = np.array_equal(low.values, high.values, equal_nan=True)
    times = low.edges[:-1] + (0.0 if plain else low.step / 2)
    for index, colour in zip(range(low.values.shape[1]), LINES, strict=False):
        name = written(panel.names[index]) if panel.names else None
        if plain:
            axes.plot(times, low.values[:, index], color=colour, linewidth=0.9, label=name)
        else:
            look: dict[str, Any] = {"color": colour, "linewidth": 0.5, "alpha": 0.85 if name else 1.0}
            axes.fill_between(times, low.values[:, index], high.values[:, index], label=name, **look)
    axes.set_ylim(*limits(panel, symmetric=not panel.names))
    axes.set_ylabel(written(panel.quantity))
    axes.grid(axis="y", alpha=0.25)
    if panel.names:
        axes.legend(handlelength=1.2, **_BESIDE)


def _draw_channels(axes: Axes, panel: Panel) -> None:
    """Draw many channels as an image."""
    low, high = panel.low.joined(_dots(axes), np.fmin), panel.high.joined(_dots(axes), np.fmax)
    image = Strip(low.start, low.step, (low.values + high.values) / 2)
    _show(axes, image, (len(panel.names) - 0.5, -0.5), "cividis", written(panel.quantity))
    _name_rows(axes, panel.names)
    axes.set_ylabel("channel")


def _draw_spectrogram(axes: Axes, mel: Strip, top: float) -> None:
    loudest = max(float(np.nanmax(mel.values)) if np.isfinite(mel.values).any() else 0.0, -60.0)
    band = float(to_mel(top)) / (BANDS + 1)
    image, rows = mel.joined(_dots(axes), np.fmax), (0.5 * band, (BANDS + 0.5) * band)
    _show(axes, image, rows, "magma", "dB", (loudest - _DYNAMIC, loudest))
    ticks = [frequency for frequency in _KILOHERTZ if frequency * 1000 <= top and frequency * 16000 >= top]
    axes.set_yticks(to_mel([1000 * frequency for frequency in ticks]), [f"{frequency:g}" for frequency in ticks])
    axes.set_ylabel("frequency (kHz)")


def _draw_image(axes: Axes, scene: Scene, heard: list[int]) -> None:
    """Draw the probabilities of many labels."""
    strip = scene.probabilities.joined(_dots(axes), np.fmax)
    image = Strip(strip.start, strip.step, strip.values[:, heard])
    _show(axes, image, (len(heard) - 0.5, -0.5), "Blues", "probability", (0.0, 1.0))
    _name_rows(axes, [scene.labels[index] for index in heard])
    axes.set_ylabel("label" if len(heard) == len(scene.labels) else f"label ({len(heard)} of {len(scene.labels)})")


def _draw_areas(axes: Axes, scene: Scene) -> None:
    """Stack the probabilities of labels that exclude each other."""
    times, values = scene.probabilities.stairs
    edges = np.cumsum(np.concatenate([np.zeros((len(values), 1)), values], axis=1), axis=1)
    shades = colours(scene.labels, scene.silence)
    for index, label in enumerate(scene.labels):
        low, high = edges[:, index], edges[:, index + 1]
        axes.fill_between(times, low, high, facecolor=shades[label], linewidth=0, label=written(label))
    _finish_probabilities(axes, reverse=True)


def _draw_curves(axes: Axes, scene: Scene) -> None:
    """Draw the probabilities of labels that hold each by itself."""
    times, values = scene.probabilities.stairs
    shades = colours(scene.labels, scene.silence)
    for label, column, line in zip(scene.labels, values.T, LINES, strict=False):
        axes.fill_between(times, 0, column, facecolor=shades[label], linewidth=0, alpha=0.4)
        axes.plot(times, column, color=line, linewidth=0.9, label=written(label))
    _finish_probabilities(axes, reverse=False)


def _finish_probabilities(axes: Axes, *, reverse: bool) -> None:
    axes.set_ylim(0, 1)
    axes.set_ylabel("probability")
    axes.legend(handlelength=1.2, reverse=reverse, **_BESIDE)


def _draw_segments(axes: Axes, scene: Scene) -> None:
    shades = colours(scene.labels, scene.silence)
    places = lanes(scene.segments)
    for lane in sorted(set(places)):
        here = [segment for segment, place in zip(scene.segments, places, strict=True) if place == lane]
        spans = [(segment.start, segment.end - segment.start) for segment in here]
        thick = 0.8 if len(here) < 500 else 0.0
        faces = [shades[segment.label] for segment in here]
        axes.broken_barh(spans, (-lane - _TALL / 2, _TALL), facecolors=faces, edgecolors="white", linewidths=thick)
    if not places:
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", va="center", color="#808080")
    axes.set_ylim(-max(places, default=0) - 0.5, 0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_ylabel("segments")
    marks = [Patch(label="gap", **_HATCHED)] if scene.gaps else []
    dashes = [Line2D([], [], label="reset", **_DASHED)] if reset_times(scene) else []
    if marks or dashes:
        axes.legend(handles=[*marks, *dashes], handlelength=1.2, **_BESIDE)


def _mark(axes: Axes, scene: Scene) -> None:
    """Hatch the gaps; draw a line at resets."""
    across = axes.get_xaxis_transform()
    spans = [(gap.start, gap.end - gap.start) for gap in scene.gaps]
    before = axes.get_ylim()
    if spans:
        axes.broken_barh(spans, (0, 1), transform=across, **_HATCHED)
    if times := reset_times(scene):
        axes.vlines(times, 0, 1, transform=across, **_DASHED)
    axes.set_ylim(*before)


def _head(axes: Axes, scene: Scene, title: str | None, width: float) -> None:
    """Write the title, and the model's name at its right."""
    most = max(20, int(width * 6))
    axes.set_title(written(Path(scene.file).name if title is None else title, most), loc="left", fontweight="bold")
    axes.set_title(written(scene.model, most // 2), loc="right", color="#606060")


def _foot(axes: Axes, scene: Scene) -> None:
    ticks = time_ticks(scene.start, scene.end)
    if ticks is None:
        axes.set_xlabel("time (s)")
    else:
        places, texts, label = ticks
        axes.set_xticks(places, texts)
        axes.set_xlabel(label)


def _show(
    axes: Axes,
    strip: Strip,
    rows: tuple[float, float],
    cmap: str,
    quantity: str,
    reach: tuple[float, float] | None = None,
) -> None:
    """Draw a strip as an image whose rows lie between two places of the axis, and its colours at the right."""
    axes.set_ylim(*rows)
    if not len(strip.values) or np.isnan(strip.values).all():
        return
    low, high = reach or (None, None)
    extent = (float(strip.edges[0]), float(strip.edges[-1]), min(rows), max(rows))
    limited: dict[str, Any] = {"vmin": low, "vmax": high, "extent": extent}
    image = axes.imshow(strip.values.T, cmap, aspect="auto", interpolation="nearest", origin="lower", **limited)
    axes.set_ylim(*rows)
    beside = axes.inset_axes((1.008, 0.0, 0.01, 1.0))
    bar = axes.figure.colorbar(image, cax=beside)
    bar.outline.set_visible(False)
    bar.set_label(quantity)


def _dots(axes: Axes) -> int:
    """Return how many columns of an image can be told apart at least."""
    return int(0.8 * _DPI * axes.figure.bbox.width / axes.figure.dpi)


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Write the names of an image's rows, as many as there is room for."""
    points = 72 * axes.get_window_extent().height / axes.figure.dpi / len(names)
    each = max(1, int(np.ceil(5.5 / points)))
    texts = [written(name) for name in names[::each]]
    axes.set_yticks(range(0, len(names), each), texts, fontsize=min(8.0, 1.1 * each * points))
    axes.tick_params(axis="y", length=0)


def _write_labels(figure: Figure, axes: Axes, scene: Scene) -> None:
    """Write labels into the segments that are wide enough, in letters that most have room for, or in smaller ones."""
    inches = axes.get_window_extent().width / figure.dpi / (scene.end - scene.start)
    widths = {label: _width(figure, label) for label in {segment.label for segment in scene.segments}}
    rooms = []
    for segment, lane in zip(scene.segments, lanes(scene.segments), strict=True):
        begin, end = max(segment.start, scene.start), min(segment.end, scene.end)
        rooms.append(((begin + end) / 2, -lane, segment.label, (end - begin) * inches / widths[segment.label]))
    most = np.array([points for *_, points in rooms])
    size = next((points for points in _POINTS if (most >= points).mean() > 0.8), _POINTS[-1]) if rooms else 0.0
    for time, place, label, points in rooms:
        if points >= _SMALLEST:
            text = axes.text(time, place, written(label), fontsize=min(size, points))
            text.set(ha="center", va="center_baseline", clip_on=True, in_layout=False)


def _width(figure: Figure, label: str) -> float:
    """Return how wide a label is, with some room around it: inches for each point of its size."""
    text = figure.text(0, 0, written(label), fontsize=10)
    width = text.get_window_extent().width / figure.dpi / 10
    text.remove()
    return 1.05 * width + 0.002
