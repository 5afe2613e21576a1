"""A server that answers a little at a time: no single wait is ever too long, and none of it ever ends."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def dripping(says: bytes) -> Iterator[int]:
    """Its port on loopback. It says this to the first who connects, a byte every 20 ms, until it is left."""
    left = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def dawdle() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                for byte in says:
                    connection.sendall(bytes([byte]))
                    if left.wait(0.02):
                        return

        slow = threading.Thread(target=dawdle, daemon=True)
        slow.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            left.set()
        slow.join()
