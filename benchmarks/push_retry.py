"""What one would do without Headway: every agent rebases and pushes, and tries again when somebody was faster."""

import os
import subprocess
import sys
import time
from pathlib import Path


def push_with_retry(folder: Path, source: Path, agents: int, seconds: float) -> tuple[float, float]:
    """Agents in clones of their own push to one bare repository; returns landings per second and pushes for each."""
    folder.mkdir()
    hub = folder / "hub.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", "--shared", source, hub], check=True)
    for agent in range(agents):
        subprocess.run(["git", "clone", "--quiet", "--shared", hub, folder / str(agent)], check=True)
    start = time.time() + 0.5
    command = [sys.executable, "-m", "benchmarks.push_retry", str(folder), str(start), str(start + seconds)]
    home = Path(__file__).parent.parent
    running = [
        subprocess.Popen([*command, str(agent)], stdout=subprocess.PIPE, text=True, cwd=home) for agent in range(agents)
    ]
    told = [process.communicate()[0].split() for process in running]
    assert all(process.returncode == 0 for process in running)
    landed, pushes = sum(int(each[0]) for each in told), sum(int(each[1]) for each in told)
    return landed / (max(float(each[2]) for each in told) - start), pushes / max(landed, 1)


def _agent(clone: Path, start: float, until: float) -> None:
    who = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org"}
    env = os.environ | who | {"GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org"}

    def git(*args: str) -> bool:
        return subprocess.run(["git", *args], cwd=clone, env=env, capture_output=True, check=False).returncode == 0

    while time.time() < start:
        time.sleep(0.01)
    landed = pushes = 0
    while time.time() < until:
        (clone / f"own-{clone.name}.txt").write_text(f"{landed}\n")
        assert git("add", "--all")
        assert git("commit", "--quiet", "--message=Change")
        while True:
            assert git("pull", "--quiet", "--rebase")
            pushes += 1
            if git("push", "--quiet", "origin", "HEAD"):
                landed += 1
                break
            if time.time() > until:
                break
    print(landed, pushes, time.time())


if __name__ == "__main__":
    _agent(Path(sys.argv[1]) / sys.argv[4], float(sys.argv[2]), float(sys.argv[3]))
