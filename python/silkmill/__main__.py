"""``python -m silkmill``: the ``silkmill`` command."""

import sys

from silkmill.command import main

if __name__ == "__main__":
    sys.exit(main())
