"""Times in which this host was not up, as far as its own looks tell.

Each look of the meters is a heart-beat on disk. Two that lie farther apart than a minute, with a boot of the host
between them, are the two ends of an outage. Without a boot between them (`meters.booted` stayed as it was) the host was
up all the while and only the reaper was not: a gap in what is metered, and no outage. A reaper that had died
before the host went down makes the outage begin at its own last look: nobody else wrote down when the host went.
"""

import time
from typing import Any

from . import files, paths
from .buckets import OUTAGE
from .config import Config

KEPT = 90 * 86_400_000


def note(config: Config, beat: int, now: int) -> None:
    """The host was started anew between the look at `beat` and the one at `now` (milliseconds). The same outage noted
    again is one: whoever is killed before the look is on disk notes it once more."""
    if not beat or now - beat <= OUTAGE:
        return
    earlier = [row for row in load(config) if row[1] > now - KEPT and row[0] != beat]
    files.write_json(paths.outages(config), [*earlier, [beat, now]])


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
