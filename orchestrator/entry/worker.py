"""The worker: sweep, callbacks and housekeeping in one process, beside the doors or alone. Killing it loses nothing."""

import logging
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType

from orchestrator.app import App
from orchestrator.flows import housekeeping
from orchestrator.flows.context import Context
from orchestrator.flows.notify import Notifier
from orchestrator.flows.sweep import Sweep

log = logging.getLogger(__name__)

PATIENCE = 20.0
"""Seconds that flows in flight get when the worker is told to stop; the rest is owed to whoever comes next."""


class Worker:
    """Runs in threads of its own between `start` and `stop`."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._stop = threading.Event()
        self._sweep = Sweep(ctx)
        self._notifier = Notifier(ctx)
        self._threads = [self._thread("sweep", lambda: self._sweep.run(self._stop)),
                         self._thread("notify", lambda: self._notifier.run(self._stop)),
                         self._thread("housekeeping", lambda: housekeeping.run(ctx, self._stop))]

    def start(self) -> None:
        """Begin to do what is owed."""
        self._ctx.store.migrate()
        self._sweep.__enter__()
        for thread in self._threads:
            thread.start()

    def stop(self, patience: float = PATIENCE) -> bool:
        """Take up nothing more and wait for what runs; False when something still did after `patience` seconds."""
        self._stop.set()
        self._ctx.wake.set()
        for thread in self._threads:
            thread.join()
        calm = self._sweep.idle(patience) and self._notifier.idle(patience)
        self._sweep.__exit__()
        return calm

    def alive(self) -> bool:
        """Whether all of it still runs."""
        return all(thread.is_alive() for thread in self._threads)

    def __enter__(self) -> "Worker":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()

    def _thread(self, name: str, run: Callable[[], None]) -> threading.Thread:
        return threading.Thread(target=run, name=name, daemon=True)


def run(ctx: Context) -> None:
    """Work until SIGTERM or SIGINT. For the main thread of a process."""
    stop = threading.Event()

    def told(number: int, _frame: FrameType | None) -> None:
        log.info("told to stop by %s", signal.Signals(number).name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    with Worker(ctx) as worker:
        while not stop.wait(1.0):
            if not worker.alive():
                raise SystemExit("tenure: a thread of the worker has ended; see the log, then start it again")


def main(argv: list[str]) -> None:
    """`python -m orchestrator.entry.worker HOME`"""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with App.open(Path(argv[1])) as app:
        run(app.ctx)


if __name__ == "__main__":
    main(sys.argv)
