"""The worker: sweep, callbacks, the sites' rounds and housekeeping in one process, beside the doors or alone.

Killing it loses nothing.
"""

import threading
from collections.abc import Callable
from types import TracebackType

from orchestrator.flows.context import Context
from orchestrator.flows.delivery.notify import Notifier
from orchestrator.flows.work import housekeeping
from orchestrator.flows.work.rounds import Rounds
from orchestrator.flows.work.sweep import Sweep

PATIENCE = 20.0
"""Seconds that flows in flight get when the worker is told to stop; the rest is owed to whoever comes next."""


class Worker:
    """Runs in threads of its own between `start` and `stop`."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._stop = threading.Event()
        self._sweep = Sweep(ctx)
        self._notifier = Notifier(ctx)
        self._rounds = Rounds(ctx)
        self._threads = [self._thread("sweep", lambda: self._sweep.run(self._stop)),
                         self._thread("notify", lambda: self._notifier.run(self._stop)),
                         self._thread("rounds", lambda: self._rounds.run(self._stop)),
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
        calm = self._sweep.idle(patience) and self._notifier.idle(patience) and self._rounds.idle(patience)
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
