"""`python -m tests.guest`: boot a machine whose whole clock steps while a run works in it, and show what it says.

The guest boots and starts its services. A run in it has not been seen to its end yet: without a usable /dev/kvm the
guest is emulated, about 20 times slower. So no test relies on it.
"""

import sys
import tempfile
from pathlib import Path

from tests.guest.qemu import boot

WITHIN_S = 3_600.0

if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="headway-guest-") as folder:
        sys.exit(boot(Path(folder), {}, WITHIN_S, lambda line: print(line, flush=True)))
