"""Times in which this host was not up, as far as its own looks tell.

Each look of the meters is a heart-beat on disk. Two that lie farther apart than a minute, with a boot of the host
between them, are the two ends of an outage. Without a boot between them (`meters.booted` stayed as it was) the host was
up all the while and only the reaper was not: a gap in what is metered, and no outage. A reaper that had died
before the host went down makes the outage begin at its own last look: nobody else wrote down when the host went.

A host may boot with a clock that is wrong, until somebody sets it. One that is ahead makes an outage that ends in times
to come: it is put right with the clock, or else it were made good once that time is there. One that is behind leaves
the heart-beat where it was: the next boot's outage does not begin years ago.
"""

import time
from typing import Any

from . import files, paths
from .buckets import OUTAGE
from .config import Config

KEPT = 90 * 86_400_000
SLACK = 1000
"""By as little a clock is not set, only read late."""


def note(config: Config, beat: int, now: int) -> None:
    """The host was started anew between the look at `beat` and the one at `now` (milliseconds). The same outage noted
    again is one: whoever is killed before the look is on disk notes it once more."""
    if not beat or now - beat <= OUTAGE:
        return
    earlier = [row for row in load(config) if now - KEPT < row[1] <= now and row[0] != beat]
    keep(config, [*earlier, [beat, now]])


def beaten(beat: int, last: int, same_boot: bool, now: int) -> int:
    """The heart-beat after a look at `now`, the look before being `last`. What lies ahead of the clock is let go only
    when the clock itself was there in this boot."""
    return now if now >= beat or (same_boot and last >= beat) else beat


def put_right(config: Config, now: int, step: int) -> None:
    """The clock was set by `step` milliseconds, to `now`: what ended by the clock as it was has ended by as much less.
    """
    if step >= -SLACK:
        return
    right = [[since, until + step if until > now else until] for since, until in load(config)]
    keep(config, [row for row in right if row[1] - row[0] > OUTAGE])


def keep(config: Config, rows: list[list[int]]) -> None:
    """These and no others."""
    if rows != load(config):
        files.write_json(paths.outages(config), rows)


def load(config: Config) -> list[list[int]]:
    """All that are remembered, as pairs of milliseconds. What cannot be read is forgotten."""
    try:
        raw: Any = files.read_json(paths.outages(config)) or []
        return [[int(since), int(until)] for since, until in raw]
    except (ValueError, TypeError):
        return []


def listed(config: Config, since: float) -> list[dict[str, float]]:
    """Those that ended after `since`, epoch seconds."""
    oldest = max(since * 1000, time.time() * 1000 - KEPT)
    return [{"since": begun / 1000, "until": over / 1000} for begun, over in load(config) if over > oldest]
