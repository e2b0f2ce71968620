"""Streams of a counting network, opened, pushed, lost, saved, doubled and moved at random: every number must be right.

What is expected is computed in plain Python from what each stream was given, and from nothing else.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Literal

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from accumulator import accumulator, as_input, as_numbers
from helpers import finals
from story import LONGEST, Story, rounded
from streamcell.runtime.errors import InputError, OverloadError
from streamcell.runtime.events import Event
from streamcell.runtime.manifest import GapPolicy
from streamcell.runtime.model import Model
from streamcell.runtime.pool import StreamPool
from streamcell.runtime.resample import Quality
from streamcell.runtime.stream import Stream

BOUND = 0.4  # seconds that may wait
CAPACITY = 3


@dataclass
class Live:
    """A stream that is open, in a pool or alone, its story, and what was fetched of it."""

    story: Story
    place: "StreamPool | None"
    stream: Any  # its number in the pool, or a `Stream`
    file: bool = False
    fetched: list[Event] = field(default_factory=list)
    unsettled: int = 0  # samples that may wait in the pool


@cache
def opened(kind: str, action: Literal["fill", "hold"], look_ahead: int, fixed: int | None) -> Model:
    policy = GapPolicy(action, LONGEST)
    return Model.open(accumulator(kind, look_ahead=look_ahead, gap=policy, steps_per_call=fixed))


NUMBERS = st.lists(st.integers(0, 7), max_size=24)
PICK = st.integers(0, 1000)


class Counting(RuleBasedStateMachine):
    """Two pools and streams alone, without threads: nothing happens but in `step`."""

    kind: ClassVar[str] = "features"
    action: ClassVar[Literal["fill", "hold"]] = "fill"
    look_ahead: ClassVar[int] = 0
    fixed: ClassVar[int | None] = None
    workers: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.model = opened(self.kind, self.action, self.look_ahead, self.fixed)
        shape: dict[str, Any] = {"workers": self.workers, "max_waiting": BOUND, "max_latency_ms": 0.2}
        self.pools = [StreamPool(self.model, CAPACITY, max_batch=batch, **shape) for batch in (64, 2)]
        self.live: list[Live] = []
        self.saved: list[tuple[bytes, Live]] = []

    def teardown(self) -> None:
        for live in list(self.live):
            self._close(live)
        for pool in self.pools:
            assert len(pool) == 0
            pool.shutdown()

    @rule(where=st.integers(0, 2), file=st.booleans())
    def open(self, where: int, file: bool) -> None:
        story = Story(self.kind, self.action, self.look_ahead)
        quality: Quality = "file" if file else "live"
        if where == 2:
            self.live.append(Live(story, None, Stream(self.model, quality=quality), file))
        else:
            self._join(self.pools[where], Live(story, None, None, file), {"quality": quality})

    @precondition(lambda self: self.live)
    @rule(pick=PICK, numbers=NUMBERS)
    def push(self, pick: int, numbers: list[int]) -> None:
        live = self._pick(pick)
        numbers = numbers * (3 if self.kind == "audio" else 1)
        block = as_input(numbers, self.kind)
        if live.place is None:
            live.fetched += finals(live.stream.push(block))
        else:
            try:
                live.place.push(live.stream, block)
            except OverloadError:
                room = BOUND * live.story.rate - live.unsettled - live.story.size * (self.fixed or 1)
                assert len(block) > room, "refused, though there is room"
                return
        live.unsettled += len(block)
        live.story.push(numbers)

    @rule(where=st.integers(0, 1))
    def step(self, where: int) -> None:
        self.pools[where].step()

    @precondition(lambda self: self.live)
    @rule(pick=PICK)
    def events(self, pick: int) -> None:
        """What was fetched so far is how the story begins."""
        live = self._pick(pick)
        if live.place is not None:
            live.fetched += finals(live.place.events(live.stream))
        expected = rounded(live.story.told(ended=False))
        assert rounded(live.fetched) == expected[: len(live.fetched)]

    @rule()
    def settle(self) -> None:
        """All that waits is stepped: then everything must be known."""
        for pool in self.pools:
            while pool.step():
                pass
            assert pool.wait(20)
        for live in self.live:
            partial: list[Event] = []
            live.unsettled = 0
            if live.place is not None:
                events = live.place.events(live.stream)
                live.fetched += finals(events)
                partial = events[len(finals(events)) :]
            if self._knows_all(live):
                assert rounded(live.fetched) == rounded(live.story.told(ended=False))
                assert live.place is None or rounded(partial) == rounded([*live.story.partial()])

    @precondition(lambda self: self.live)
    @rule(pick=PICK, share=st.integers(0, 40), reason=st.sampled_from(["overflow", "missing"]))
    def gap(self, pick: int, share: int, reason: str) -> None:
        live = self._pick(pick)
        samples = share * live.story.size * 3 // 4
        if live.place is None:
            live.fetched += finals(live.stream.gap(samples, reason))
        else:
            live.place.gap(live.stream, samples, reason)
            live.unsettled = 0
        live.story.gap(samples, reason)

    @precondition(lambda self: self.live)
    @rule(pick=PICK, reason=st.sampled_from(["asked", "new speaker"]))
    def reset(self, pick: int, reason: str) -> None:
        live = self._pick(pick)
        if live.place is None:
            live.fetched += finals(live.stream.reset(reason))
        else:
            live.place.reset(live.stream, reason)
            live.unsettled = 0
        live.story.reset(reason)

    @precondition(lambda self: self.live)
    @rule(pick=PICK)
    def snapshot(self, pick: int) -> None:
        """The state in it must be that of all steps so far, or for files of some."""
        live = self._pick(pick)
        saved = live.stream.snapshot() if live.place is None else live.place.snapshot(live.stream)
        if live.place is not None:
            live.fetched += finals(live.place.events(live.stream))
            live.unsettled = 0
        found = as_numbers(Stream.restore(self.model, saved).state)
        steps = found["h0"][0]
        assert found == live.story.state(steps)
        if self._knows_all(live):
            assert steps == live.story.steps
            assert rounded(live.fetched) == rounded(live.story.told(ended=False))
        self.saved = [*self.saved[-4:], (saved, self._copy(live))]

    @precondition(lambda self: self.saved)
    @rule(pick=PICK, where=st.integers(0, 2))
    def restore(self, pick: int, where: int) -> None:
        """Go on from what was saved, anywhere, as often as one likes."""
        saved, old = self.saved[pick % len(self.saved)]
        live = self._copy(old)
        if where == 2:
            live.stream = Stream.restore(self.model, saved)
            self.live.append(live)
        else:
            self._join(self.pools[where], live, {"snapshot": saved})

    @precondition(lambda self: self.live)
    @rule(pick=PICK)
    def close(self, pick: int) -> None:
        self._close(self._pick(pick))

    @precondition(lambda self: self.live)
    @rule(pick=PICK, kind=st.sampled_from(["shape", "NaN", "type", "gap", "twice"]))
    def misuse(self, pick: int, kind: str) -> None:
        """What is refused changes nothing: whatever comes later is right."""
        live = self._pick(pick)
        wrong = {"shape": np.zeros((2, 3), np.float32), "type": np.zeros((4, 1), np.int32)}
        block = wrong.get(kind, np.full((4, 1)[: 1 if self.kind == "audio" else 2], np.nan, np.float32))
        arguments = [block] if kind in ("shape", "type", "NaN") else [-1] if kind == "gap" else [3, "bored"]
        verb = "push" if len(arguments) == 1 and kind != "gap" else "gap"
        try:
            if live.place is None:
                getattr(live.stream, verb)(*arguments)
            else:
                getattr(live.place, verb)(live.stream, *arguments)
        except (InputError, OverloadError):
            return
        raise AssertionError(f"{kind} was let in")

    def _knows_all(self, live: Live) -> bool:
        """Tell whether every whole step that was given is done, once nothing waits to be."""
        return self.fixed is None and not (live.file and live.place is None)

    def _pick(self, pick: int) -> Live:
        return self.live[pick % len(self.live)]

    def _copy(self, live: Live) -> Live:
        """Return a stream of the same story that is nowhere yet."""
        return Live(deepcopy(live.story), None, None, live.file, list(live.fetched))

    def _join(self, pool: StreamPool, live: Live, arguments: dict[str, Any]) -> None:
        there = [other.stream for other in self.live if other.place is pool]
        try:
            live.place, live.stream = pool, pool.open(**arguments)
        except OverloadError:
            assert len(there) == CAPACITY
            return
        assert len(there) < CAPACITY
        assert live.stream not in there
        live.unsettled = 64 * live.story.size  # at most, of a file
        self.live.append(live)

    def _close(self, live: Live) -> None:
        self.live.remove(live)
        last = live.stream.flush() if live.place is None else live.place.close(live.stream)
        assert rounded([*live.fetched, *last]) == rounded(live.story.told(ended=True))


class HeldSound(Counting):
    """Four samples a step, one step of look-ahead, lost samples skipped."""

    kind, action, look_ahead = "audio", "hold", 1


class FixedCalls(Counting):
    """Three steps in every call."""

    kind, fixed, look_ahead = "audio", 3, 2


class WithThreads(Counting):
    """Two threads in each pool."""

    workers = 2


CHECKED = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    stateful_step_count=40,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
for machine in (Counting, HeldSound, FixedCalls, WithThreads):
    machine.TestCase.settings = CHECKED
TestCounting, TestHeldSound = Counting.TestCase, HeldSound.TestCase
TestFixedCalls, TestWithThreads = FixedCalls.TestCase, WithThreads.TestCase
