"""``python -m opendb``: a database from the command line, with the commands of the program ``opendb``.

Exit codes: 0 when done, 1 where the answer is no (a key that is absent, a database that is not whole), 2 for a wrong command
line, 3 for an error.
"""

from __future__ import annotations

import signal
import sys

from opendb import _opendb


def main(words: list[str] | None = None) -> int:
    """Does what the command line says, and returns the exit code."""
    # What runs is not Python, so Ctrl-C ends the process, as it does with any other program.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _opendb._command(sys.argv[1:] if words is None else words)


if __name__ == "__main__":
    sys.exit(main())
