"""`tenure serve` and `tenure worker`: the long-running processes. SIGTERM stops them in good order."""

import logging
import signal
import socket
import threading
from collections.abc import Callable
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.entry.cli import output
from orchestrator.entry.cli.opening import opened_app
from orchestrator.entry.cli.output import CommandError

if TYPE_CHECKING:
    import uvicorn

    from orchestrator.app import App
    from orchestrator.entry.worker import Worker
    from orchestrator.flows.context import Context

log = logging.getLogger(__name__)

BACKLOG = 2048
LOOK = 1.0
"""Seconds between two looks at whether the worker's threads live."""
THREAD_ENDED = "a thread of the worker has ended: see the log above, then start it again"
QUIET = ("paramiko", "alembic", "httpcore", "asyncio", "grpc")


def add_to(app: typer.Typer) -> None:
    """Put these commands at the top of the tree."""
    app.command(epilog="Example: tenure serve --no-worker")(serve)
    app.command(epilog="Example: tenure worker")(worker)


def serve(
    with_worker: Annotated[bool, typer.Option("--worker/--no-worker", help="Do what is owed, too.")] = True,
    host: Annotated[str | None, typer.Option(help="Listen here instead of where the settings say.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0: any free one.")] = None,
    access_log: Annotated[bool, typer.Option("--access-log", help="Log every request.")] = False,
) -> None:
    """Open the web doors and, unless told otherwise, work in the same process."""
    _log_to_stderr()
    with opened_app() as app:
        ctx = app.ctx
        ctx.store.migrate()
        listening = _listen(host or ctx.settings.listen.host, ctx.settings.listen.port if port is None else port)
        with listening:
            server = _server(ctx, access_log)
            if not with_worker:
                _run(server, listening)
                return
            from orchestrator.entry.worker import Worker

            _warm(app)
            with Worker(ctx) as working, _Watched(working, server) as watched:
                _run(server, listening)
            if watched.died:
                raise CommandError(THREAD_ENDED)


def worker() -> None:
    """Do what is owed, without doors. As many as you like may run on one database."""
    _log_to_stderr()
    from orchestrator.entry.worker import Worker

    stop = threading.Event()
    _when_told_to_stop(stop.set)
    with opened_app() as app, Worker(app.ctx) as working:
        _warm(app)
        output.note(f"tenure worker {app.ctx.worker} works")
        while not stop.wait(LOOK):
            if not working.alive():
                raise CommandError(THREAD_ENDED)


def _server(ctx: "Context", access_log: bool) -> "uvicorn.Server":
    import uvicorn

    from orchestrator.entry.http.app import create_app

    return uvicorn.Server(uvicorn.Config(create_app(ctx), log_config=None, access_log=access_log, lifespan="off",
                                         server_header=False, proxy_headers=False, timeout_graceful_shutdown=10))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        why = (error.strerror or "").partition(" (while")[0]
        raise CommandError(f"cannot listen on {host}:{port}: {why}; set `listen` in tenure.yaml, or --port") from error


def _run(server: "uvicorn.Server", listening: socket.socket) -> None:
    """Until SIGTERM or SIGINT."""
    def stop() -> None:
        server.should_exit = True

    # The server hands a signal on once it has stopped; by default that would end us before the worker has stopped.
    _when_told_to_stop(stop)
    address = listening.getsockname()
    output.note(f"tenure serves at http://{address[0]}:{address[1]}")
    server.run(sockets=[listening])


def _warm(app: "App") -> None:
    """Pulumi is started beside everything else; without it ends are kept all the same, so its absence is only said."""
    def start() -> None:
        from stacks.errors import StackError

        try:
            app.warm()
        except StackError as error:
            log.warning("accounts can be ended, but not made or taken back: %s", error)

    threading.Thread(target=start, name="warm", daemon=True).start()


def _when_told_to_stop(act: Callable[[], None]) -> None:
    """From here on, SIGTERM and SIGINT do this and nothing else."""
    def told(number: int, _frame: FrameType | None) -> None:
        log.info("told to stop by %s", signal.Signals(number).name)
        act()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)


class _Watched:
    """Stops the doors when the worker beside them has died: half a Tenure must not look like a whole one."""

    def __init__(self, working: "Worker", server: "uvicorn.Server") -> None:
        self._working = working
        self._server = server
        self.died = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)

    def __enter__(self) -> "_Watched":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK):
            if not self._working.alive():
                self.died = self._server.should_exit = True
                return


class _Civil(logging.Formatter):
    """Times with their offset, in the zone that every other time is shown in."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 (logging's name)
        at = datetime.fromtimestamp(record.created, output.zone())
        return at.isoformat(sep=" ", timespec="milliseconds")


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Civil("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
