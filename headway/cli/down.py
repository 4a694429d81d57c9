"""`headway down`: stops what `headway up` started."""

import signal
import time

from headway.cli.console import say
from headway.domain.errors import UserError
from headway.host.home import home_from
from headway.host.supervisor_state import read_state

WITHIN_S = 180.0


def down() -> None:
    """Stop the service and the worker processes of this HEADWAY_HOME. Runs resume with `headway up`."""
    home = home_from()
    state = read_state(home)
    if state is None:
        say(f"Nothing is running for {home}.")
        return
    state.process.send(signal.SIGTERM)
    deadline = time.monotonic() + WITHIN_S
    while state.alive:
        if time.monotonic() > deadline:
            raise UserError(
                f"Process {state.pid} has not stopped within {WITHIN_S:.0f} s.",
                f"Look at the logs in {home / 'logs'}; `kill -9 {state.pid}` ends it and all its children.",
            )
        time.sleep(0.1)
    say("Stopped.")
