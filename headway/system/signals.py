"""The signals that ask a process to end."""

import asyncio
import signal
from collections.abc import Callable
from typing import Any


def on_end_asked(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> dict[signal.Signals, Any]:
    """Call `act` at each SIGTERM, SIGINT and SIGHUP, but for those that this process was started to ignore.

    `nohup` has its command ignore SIGHUP, and a shell script has its background commands ignore SIGINT: neither the end
    of the terminal nor Ctrl-C in the script then ends them.

    Returns:
        The signals that `loop` handles from now on, with their handlers until now.
    """
    heard = [signal.SIGTERM]
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) in {signal.SIG_IGN, _ignore}:
            # A handler that does nothing: unlike SIG_IGN it is not inherited by the commands that are started here.
            signal.signal(number, _ignore)
        elif number is not signal.SIGQUIT:
            heard.append(number)
    before = {number: signal.getsignal(number) for number in heard}
    for number in heard:
        loop.add_signal_handler(number, act)
    return before


def _ignore(*_: object) -> None:
    """Do nothing."""
