"""Prints the demo as it goes: each step with its time, what was done and what was seen. A step that does not hold ends
it."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class DoesNotHold(AssertionError):
    """A step showed something else than it had to."""


class TooSlow(Exception):
    """The machine was too slow for a step: nothing is known about whether it holds."""


class Report:
    """One line of what was done and one of what was seen for each step, with the seconds since the beginning."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.held = 0
        self.until: float | None = None
        """The end (Unix time) that must not come before the steps that need it are done; None: there is none."""

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
        except Exception as error:
            late = self.until is not None and time.time() >= self.until
            slow = late or isinstance(error, TooSlow)
            print(f"   {self._at(begun)}  {done}\n{'':19}{'NOT SEEN: too slow' if slow else 'DOES NOT HOLD'}",
                  file=sys.stderr, flush=True)
            if late and not isinstance(error, TooSlow):
                raise TooSlow(f"the account had ended before the step was done: {error}") from error
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
