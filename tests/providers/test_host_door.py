"""Whether a host takes new logins, asked of a real sshd and of servers that are none."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from providers.host import door, ssh
from providers.protocol import TryLater
from tests.providers.keys import make_key
from tests.providers.sshd import Sshd, free_port


def at(port: int) -> ssh.Address:
    return ssh.Address("lab", "127.0.0.1", port, "tenure", ssh.host_key(make_key().public))


@contextmanager
def saying(*pieces: bytes, then: threading.Event | None = None) -> Iterator[int]:
    """A server that says this to whoever comes, and hangs up, or waits for `then` first."""
    def serve() -> None:
        with closing(listener.accept()[0]) as client:
            with suppress(OSError):
                for piece in pieces:
                    client.sendall(piece)
            if then is not None:
                then.wait(60)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        if then is not None:
            then.set()
        thread.join(60)


def test_an_sshd_is_heard_and_nobody_logs_in(tmp_path: Path) -> None:
    """Nothing is sent to it."""
    server = Sshd(tmp_path / "sshd")
    try:
        door.knock(at(server.port))
        assert "Accepted" not in server.said()
    finally:
        server.stop()


def test_nobody_listens() -> None:
    """It says where, what, and what to look at."""
    port = free_port()
    with pytest.raises(TryLater, match=f"tenure@127.0.0.1:{port}: takes no new logins: .*refused; look at sshd"):
        door.knock(at(port))


@pytest.mark.parametrize("words", [b"HTTP/1.0 400 no\r\n", b"", b"SSH-1.5-old\r\n", b"x SSH-2.0-hidden\r\n",
                                   b"y" * 100_000])
def test_who_is_no_ssh_server_is_told_apart(words: bytes) -> None:
    """Whatever it says, and however much."""
    with saying(words) as port, pytest.raises(TryLater, match="takes no new logins"):
        door.knock(at(port))


def test_a_server_may_say_something_first() -> None:
    """RFC 4253, 4.2: lines before its name."""
    with saying(b"welcome\r\nSS", b"H-2.0-late\r\n") as port:
        door.knock(at(port))


def test_who_says_nothing_is_not_waited_for() -> None:
    """Nor who drips: the time is for all of it."""
    with saying(b"dr", then=threading.Event()) as port, pytest.raises(TryLater, match="timed out"):
        door.knock(at(port), within=0.2)
