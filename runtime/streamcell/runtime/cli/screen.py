"""What is drawn over and over at the end of a terminal; the only file that needs rich."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from streamcell.runtime.errors import MissingExtraError

try:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text
except ImportError as error:
    raise MissingExtraError("rich", "audio", "to show live what is heard (or use --format jsonl)") from error

__all__ = ["Console", "Group", "Text", "bar", "screen"]

_REFRESH = 12  # times a second


@contextmanager
def screen(draw: Callable[[Console], Group]) -> Iterator[Console]:
    """Give a console; what is printed on it stays, above what is drawn and drawn again below.

    Args:
        draw: What is below, asked for from another thread, 12 times a second: always as many lines, or what is printed
            meanwhile may leave some behind. It is gone at the end.
    """
    console = Console(highlight=False)
    shared = sys.stderr.isatty()  # then what is said there goes above, not through it
    with Live(
        console=console,
        get_renderable=lambda: draw(console),
        refresh_per_second=_REFRESH,
        transient=True,
        redirect_stderr=shared,
    ):
        yield console


def bar(share: float, width: int, style: str = "green") -> Text:
    """Return a line of ``width`` columns, filled to a share from 0 to 1.

    Examples:
        >>> bar(0.5, 6).plain
        '━━━───'
    """
    filled = round(width * min(max(share, 0), 1))
    return Text.assemble(("━" * filled, style), ("─" * (width - filled), "dim"))
