"""Places on dates: how many are free at every instant, whether one more fits, and when it would."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Stretch:
    """So many, for [start, until)."""

    start: datetime
    until: datetime
    count: int = 1


def steps(places: Iterable[Stretch], held: Iterable[Stretch], start: datetime,
          until: datetime) -> list[tuple[datetime, int]]:
    """How many are free within [start, until): at `start`, and from each instant on at which that changes. Negative
    where places were taken away from under those who hold them."""
    level, changes = 0, defaultdict[datetime, int](int)
    for stretches, sign in ((places, 1), (held, -1)):
        for one in stretches:
            if one.until <= start or one.start >= until:
                continue
            if one.start <= start:
                level += sign * one.count
            else:
                changes[one.start] += sign * one.count
            if one.until < until:
                changes[one.until] -= sign * one.count
    found = [(start, level)]
    for at in sorted(changes):
        level += changes[at]
        found.append((at, level))
    return found


def fullest(places: Iterable[Stretch], held: Iterable[Stretch], start: datetime, until: datetime) -> datetime:
    """The first instant of [start, until) at which fewest are free."""
    return min(steps(places, held, start, until), key=lambda step: step[1])[0]


def fits(places: Iterable[Stretch], held: Iterable[Stretch], start: datetime, until: datetime) -> bool:
    """Whether one more fits at every instant of [start, until)."""
    return all(level >= 1 for _, level in steps(places, held, start, until))


def nearest(places: Iterable[Stretch], held: Iterable[Stretch], wish: datetime, length: timedelta, earliest: datetime,
            latest: datetime) -> tuple[datetime | None, datetime | None]:
    """The last instant before the wish, and the first after it, from which one more fits for so long; each None when
    there is none from `earliest` to `latest`."""
    full = _full(steps(places, held, earliest, latest + length), latest + length)
    return _before(full, wish, length, earliest), _after(full, wish, length, latest)


def _full(levels: list[tuple[datetime, int]], end: datetime) -> list[Stretch]:
    """When nothing is free, in order."""
    found: list[Stretch] = []
    for (at, level), (following, _) in zip(levels, [*levels[1:], (end, 0)], strict=True):
        if level >= 1:
            continue
        if found and found[-1].until == at:
            at = found.pop().start
        found.append(Stretch(at, following))
    return found


def _after(full: list[Stretch], wish: datetime, length: timedelta, latest: datetime) -> datetime | None:
    at = wish
    for one in full:
        if one.start < at + length and one.until > at:
            at = one.until
    return at if at <= latest else None


def _before(full: list[Stretch], wish: datetime, length: timedelta, earliest: datetime) -> datetime | None:
    at = wish
    for one in reversed(full):
        if one.start < at + length and one.until > at:
            at = one.start - length
    return at if at >= earliest else None
