"""``streamcell adopt`` with limits: ``python -m streamcell.export.adopt.limited MEMORY SECONDS ARGUMENTS...``.

Whoever adopts a file runs what its author wrote, all of ONNX. Here that happens where it hurts nobody, see
`streamcell.runtime.trial`.
"""

import sys

from streamcell.runtime.cli.main import main as streamcell
from streamcell.runtime.onnx_file import MAX_FILE
from streamcell.runtime.trial_child import limit

__all__ = ["main"]


def main() -> int:
    """Take the limits to heart, then adopt."""
    memory, seconds, *arguments = sys.argv[1:]
    limit(int(memory), int(seconds), file=MAX_FILE)
    return streamcell(["adopt", *arguments, "--trust"])


if __name__ == "__main__":
    sys.exit(main())
