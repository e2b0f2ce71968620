"""Text that may come from a stranger's file, without what would command a terminal."""

__all__ = ["printable"]


def printable(text: str, keep: str = "") -> str:
    r"""Return a text with what is not printable written as Python writes it, but for the characters in ``keep``.

    Examples:
        >>> print(printable("AA \x1b[2J\n"))
        AA \x1b[2J\n
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in keep else repr(letter)[1:-1] for letter in text)
