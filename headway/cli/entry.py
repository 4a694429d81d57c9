"""The entry point of the command: Ctrl-C while its modules are loaded ends it without a traceback."""

import signal
from typing import NoReturn


def main() -> NoReturn:
    """Load the command and run it."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # `nohup` and some shells ignore the signal
    if ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from headway.cli.app import main as run

    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()
