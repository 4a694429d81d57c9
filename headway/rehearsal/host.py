"""Runs a rehearsal on this machine: its own thread and event loop, reachable on loopback only."""

import logging
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn

from headway.domain.errors import UserError
from headway.rehearsal.playbook import Playbook
from headway.rehearsal.playbook_reader import read_playbook
from headway.rehearsal.request_ledger import RequestLedger
from headway.rehearsal.scripts import Scripts
from headway.rehearsal.server import rehearsal_app

LOOPBACK = "127.0.0.1"
BACKLOG = 2048
GRACE_S = 1
MEANT = ("ASGI callable returned without completing response.", "Cancel %s running task(s)")
"""Messages that the server below logs as errors: connections dropped on purpose, and replies cut by the end."""


class Rehearsal:
    """A served playbook: `with Rehearsal(playbook) as r: ...`.

    Args:
        playbook: A playbook, or the file that holds one.
        port: Port on loopback; 0 takes any free one.
    """

    def __init__(self, playbook: Playbook | Path, port: int = 0) -> None:
        self.playbook = read_playbook(playbook) if isinstance(playbook, Path) else playbook
        self.port = port
        self._scripts = Scripts(self.playbook)
        self._ledger = RequestLedger(self._scripts)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The value for OPENAI_BASE_URL."""
        return f"http://{LOOPBACK}:{self.port}/v1"

    def start(self) -> None:
        """Serves from now on.

        Raises:
            UserError: The port is taken.
        """
        # The protocol is named because asyncio turns Nagle's algorithm off only where it is: 40 ms a reply otherwise.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, self.port))
        except OSError as error:
            listener.close()
            raise UserError(
                f"port {self.port}: {error.strerror}", "Name another one, or 0 for any free port."
            ) from None
        # Listening already, so that a request that comes before the server is up waits instead of failing.
        listener.listen(BACKLOG)
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            rehearsal_app(self._scripts, self._ledger),
            log_level="error",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=GRACE_S,
        )
        logging.getLogger("uvicorn.error").addFilter(_is_news)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="rehearsal", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop serving; the counters stay readable."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
        self._server = self._thread = None

    @property
    def requests(self) -> int:
        """Number of requests to the model so far; cheap."""
        return self._ledger.requests

    def report(self) -> dict[str, Any]:
        """The same as GET /rehearsal/report."""
        return self._ledger.report()

    def problems(self) -> list[str]:
        """Differences between the run and the playbook, a line each."""
        return self._ledger.problems()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _is_news(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(MEANT)
