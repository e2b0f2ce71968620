"""What can go wrong for a user: every message says what was expected, what came, what to do."""

__all__ = ["InputError", "MissingExtraError", "ModelError", "OverloadError", "SourceError", "StreamcellError"]


class StreamcellError(Exception):
    """Be the base of every error that a user can cause and mend.

    The command line prints it as ``streamcell: error: MESSAGE`` and exits with 2.
    """


class InputError(StreamcellError):
    """Report samples, blocks, states or arguments that do not fit."""


class ModelError(StreamcellError):
    """Report a model file, a manifest or a graph that cannot be run rightly."""


class OverloadError(StreamcellError):
    """Report that more was asked for than there is room or time for; nothing of it was taken."""


class SourceError(StreamcellError):
    """Report a file or a device that gives no usable samples."""


class MissingExtraError(StreamcellError):
    """Report an optional package that is not installed, and name the extra that brings it.

    Args:
        package: The package that could not be imported, e.g. ``soxr``.
        extra: The extra of streamcell that installs it, e.g. ``audio``.
        purpose: What it is needed for, as the end of "... is needed ...".

    Examples:
        >>> print(MissingExtraError("soxr", "audio", "to convert sample rates"))
        soxr is needed to convert sample rates, but is not installed. Install it with: pip install 'streamcell[audio]'
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(package, extra, purpose)

    def __str__(self) -> str:
        package, extra, purpose = self.args
        return (
            f"{package} is needed {purpose}, but is not installed. Install it with: pip install 'streamcell[{extra}]'"
        )
