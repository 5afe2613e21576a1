"""Token buckets per key, in bounded memory: a flood from one sender costs the others nothing."""

import math
import threading
from collections import OrderedDict


class Buckets:
    """At most `burst` at once and `rate` a second for each key; the `most` keys used last are remembered."""

    def __init__(self, rate: float, burst: float, most: int = 10_000) -> None:
        self._rate, self._burst, self._most = rate, burst, most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str, now: float) -> int:
        """0 when there was a token; otherwise the whole seconds after which there is one again."""
        with self._lock:
            left, at = self._left.pop(key, (self._burst, now))
            left = min(self._burst, left + max(0.0, now - at) * self._rate)
            wait = 0 if left >= 1 else max(1, math.ceil((1 - left) / self._rate))
            self._left[key] = (left if wait else left - 1, now)
            while len(self._left) > self._most:
                self._left.popitem(last=False)
        return wait
