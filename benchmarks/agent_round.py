"""CPU time at each step of one worker, in a process of its own: `agent_round.py URL STEPS STEP_BYTES`.

What it measures is the Headway that PYTHONPATH names, which may be that of another commit.
"""

import asyncio
import gc
import json
import sys
import tempfile
from pathlib import Path

from benchmarks.agent_ground import Ground


async def main(url: str, steps: int, step_bytes: int) -> list[float]:
    """Work once, and tell the CPU time of this process at each step."""
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as folder:
        ground = Ground(Path(folder))
        gc.freeze()  # as worker.py does
        return await ground.work(url, steps, step_bytes, 0)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
