"""Lanes: work that must not wait for other work. Each key has its own queue, and threads while there is work in it."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Lanes(Generic[K, T]):
    """`work(key, batch)` is called in a thread of the key's own with all that has come together, at most `most`.

    At most `width` threads a key: a batch that hangs does not hold up what comes after it. `work` may answer True:
    then what waits in the key's queue is handed to `refuse` instead, since it would meet the same fate.
    """

    def __init__(self, work: Callable[[K, Sequence[T]], bool], refuse: Callable[[K, Sequence[T]], None], *,
                 width: int = 1, most: int = 500) -> None:
        self._work, self._refuse = work, refuse
        self._width, self._most = width, most
        self._changed = threading.Condition()
        self._waiting: dict[K, deque[T]] = {}
        self._running: dict[K, int] = {}

    def put(self, key: K, items: Sequence[T]) -> None:
        """Queue the items and make sure that somebody works on them."""
        if not items:
            return
        with self._changed:
            self._waiting.setdefault(key, deque()).extend(items)
            if self._running.get(key, 0) >= self._width:
                return
            self._running[key] = self._running.get(key, 0) + 1
        threading.Thread(target=self._run, args=(key,), name=f"lane-{key}", daemon=True).start()

    def waiting(self, key: K) -> int:
        """How many items of the key nobody works on yet."""
        with self._changed:
            return len(self._waiting.get(key, ()))

    def queued(self) -> dict[K, int]:
        """The same of every key that has any."""
        with self._changed:
            return {key: len(queue) for key, queue in self._waiting.items() if queue}

    def idle(self, timeout: float | None = None) -> bool:
        """Wait until nothing is queued or running; False when that took longer than `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running and not any(self._waiting.values()), timeout)

    def _run(self, key: K) -> None:
        try:
            while batch := self._next(key, self._most):
                if self._work(key, batch):
                    self._refuse(key, self._next(key, None))
        except Exception:
            # What was claimed is owed again when its claim lapses; the lane itself must go on for others.
            log.exception("lane %s", key)
        finally:
            self._leave(key)

    def _next(self, key: K, most: int | None) -> list[T]:
        with self._changed:
            queue = self._waiting.get(key, deque())
            return [queue.popleft() for _ in range(len(queue) if most is None else min(most, len(queue)))]

    def _leave(self, key: K) -> None:
        with self._changed:
            self._running[key] -= 1
            if not self._running[key]:
                del self._running[key]
            left = self._waiting.get(key)
            if left is not None and not left:
                del self._waiting[key]
            again = bool(left) and self._running.get(key, 0) < self._width
            if again:
                self._running[key] = self._running.get(key, 0) + 1
            self._changed.notify_all()
        if again:
            threading.Thread(target=self._run, args=(key,), name=f"lane-{key}", daemon=True).start()
