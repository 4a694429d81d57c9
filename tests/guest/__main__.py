"""`python -m tests.guest`: boot a machine whose whole clock steps while a run works in it, and show what it says."""

import sys
import tempfile
from pathlib import Path

from tests.guest.machines import STEPPING, boot

WITHIN_S = 3_600.0

if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="headway-guest-") as folder:
        sys.exit(boot(Path(folder), STEPPING, WITHIN_S, lambda line: print(line, flush=True)))
