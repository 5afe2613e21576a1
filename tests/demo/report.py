"""Prints the demo as it goes: each step with its time, what was done and what was seen. A step that does not hold ends
it."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class DoesNotHold(AssertionError):
    """A step showed something else than it had to."""


class Report:
    """One line of what was done and one of what was seen for each step, with the seconds since the beginning."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.held = 0

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.begun

    def act(self, number: int, title: str) -> None:
        """Begin one of the main parts."""
        print(f"\n{number}. {title}", flush=True)

    @contextmanager
    def step(self, done: str) -> Iterator["Step"]:
        """One step: name what is done; inside, say what was seen."""
        begun = time.monotonic()
        step = Step()
        try:
            yield step
        except Exception:
            print(f"   {self._at(begun)}  {done}\n{'':19}DOES NOT HOLD", file=sys.stderr, flush=True)
            raise
        self.held += 1
        print(f"   {self._at(begun)}  {done}", flush=True)
        for line in step.lines:
            print(f"{'':19}{line}", flush=True)

    def _at(self, begun: float) -> str:
        now = time.monotonic()
        return f"{now - self.begun:6.1f} s {now - begun:+6.2f}"


class Step:
    """What was seen in one step."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def saw(self, line: str) -> None:
        self.lines.append(line)

    def must(self, holds: bool, line: str) -> None:
        """Seen and right, or DoesNotHold with what was seen instead."""
        if not holds:
            raise DoesNotHold(f"seen instead: {line}")
        self.saw(line)
