"""Phrases for subtitles: the phones or words between two pauses."""

from collections.abc import Iterator
from math import inf

from streamcell.runtime.events import Segment, Utterance
from streamcell.runtime.formats import Transcript
from streamcell.runtime.printable import printable

__all__ = ["cues", "timestamp"]

_PAUSE = 0.2  # seconds without a phone; a plosive's closure is shorter
_LONGEST = 7.0  # seconds of a cue
_MOST = 40  # phones in a cue


def cues(transcript: Transcript) -> Iterator[tuple[int, int, str]]:
    """Yield start, end (milliseconds, at least one apart) and text of each phrase.

    A phrase ends where an utterance does, before it would be longer than 7 s, and after 40 phones; where there are no
    utterances, also where no phone is for 0.2 s. White space in a label becomes one space, since an empty line would
    end the cue.

    Examples:
        >>> said = Segment("HH", 0.25, 0.3, 0.9), Segment("AY", 0.3, 0.5, 0.9), Segment("T", 0.8, 0.9, 0.9)
        >>> list(cues(Transcript("a.wav", 1.5, said)))
        [(250, 500, 'HH AY'), (800, 900, 'T')]
    """
    phrase: list[Segment] = []
    pause = inf if any(isinstance(event, Utterance) for event in transcript.events) else _PAUSE
    for event in transcript.events:
        said = event if isinstance(event, Segment) and event.label != transcript.silence else None
        if phrase and (isinstance(event, Utterance) or (said and _ends(phrase, said, pause))):
            yield _cue(phrase)
            phrase = []
        if said:
            phrase.append(said)
    if phrase:
        yield _cue(phrase)


def timestamp(milliseconds: int, mark: str) -> str:
    """Write a time as hours, minutes, seconds, and behind ``mark`` milliseconds.

    Examples:
        >>> timestamp(3_723_004, ",")
        '01:02:03,004'
    """
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}{mark}{rest:03d}"


def _ends(phrase: list[Segment], following: Segment, pause: float) -> bool:
    quiet = following.start - phrase[-1].end
    return quiet >= pause or following.end - phrase[0].start > _LONGEST or len(phrase) >= _MOST


def _cue(phrase: list[Segment]) -> tuple[int, int, str]:
    start, end = round(1000 * phrase[0].start), round(1000 * max(segment.end for segment in phrase))
    text = " ".join(printable(" ".join(segment.label.split())) for segment in phrase)
    return start, max(start + 1, end), text
