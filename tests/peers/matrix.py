"""`python -m tests.peers.matrix [--only NAME,...] [--at-once N]`: plays habits, and prints the table."""

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from tests.peers.habits import CASES
from tests.peers.playing import HEAD, fleet
from tests.support.repositories import make_repository


async def main() -> int:
    """Play what is asked for; 1 where one run is not right."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--form", default="")
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--folder", type=Path, default=None, help="kept where it is given")
    asked = parser.parse_args()
    names = set(filter(None, asked.only.split(",")))
    cases = [(h, f) for h, f in CASES if (not names or h.name in names) and (not asked.form or f == asked.form)]
    for name in [name for name in os.environ if name.startswith(("TEMPORAL_", "OPENAI_", "HEADWAY_"))]:
        del os.environ[name]
    os.environ["TEMPORAL_CONFIG_FILE"] = os.devnull
    with tempfile.TemporaryDirectory(prefix="peers-") as made:
        folder = asked.folder or Path(made)
        folder.mkdir(exist_ok=True)
        home = folder / "home"
        home.mkdir(mode=0o700)
        repository = make_repository(folder / "repository", 20)
        async with fleet(cases, home, repository, {}) as site:
            played = await site.play_all([*map(site.order, cases)], asked.at_once)
    print(HEAD)
    for each in played:
        print(each.row)
    wrong = [each for each in played if not each.is_right]
    print(f"\n{len(played)} runs, {sum(each.verdict == 'lands' for each in played)} land, {len(wrong)} wrong")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
