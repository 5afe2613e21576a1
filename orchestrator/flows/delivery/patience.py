"""A limit for a whole conversation, however often the other side says a little: then its connection is cut."""

import contextlib
import socket
import threading
from datetime import timedelta
from typing import Any

AGAIN = 0.5
"""Seconds after which a connection made meanwhile is cut as well."""


class Line:
    """Where an HTTP request goes: `told` is httpcore's trace, which tells as it connects and as it begins TLS."""

    sock: socket.socket | None = None

    def told(self, event: str, info: dict[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self.sock = info["return_value"].get_extra_info("socket")


class Patience:
    """A context in which connections are watched; for one conversation after another, not for several at once."""

    def __init__(self, limit: timedelta) -> None:
        self.limit = limit.total_seconds()
        self.ran_out = False
        self._watched: object = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, connection: object) -> None:
        """This one instead of the one before: its socket is `sock`, also where it has yet to be made."""
        self._watched = connection

    def __enter__(self) -> "Patience":
        self.ran_out, self._over = False, threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._over,), name="patience", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, over: threading.Event) -> None:
        if over.wait(self.limit):
            return
        self.ran_out = True
        while True:
            connection = getattr(self._watched, "sock", None)
            if isinstance(connection, socket.socket):
                with contextlib.suppress(OSError):
                    # Not the TLS layer's own, which belongs to whoever is reading.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
            if over.wait(AGAIN):
                return
