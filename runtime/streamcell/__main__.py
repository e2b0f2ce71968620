"""Make ``python -m streamcell`` the same as the ``streamcell`` command."""

import sys

from streamcell.runtime.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
