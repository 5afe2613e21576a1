"""What does not work, most urgent first: what it is, whom it concerns, who acts next, and the command to type."""

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from orchestrator.flows.accounts.provision import MOST_OFFSET
from orchestrator.lifecycle.due import Owed
from orchestrator.store.holding import EVERYTHING, Kept
from orchestrator.store.looks import Look
from orchestrator.store.outbox import MAIL
from orchestrator.store.overview import Standing, Unsent, Waiting

LATE = timedelta(seconds=30)
"""Work that nobody took up for so long: no worker runs, or too few."""
MOST_NAMED = 5
MOST_ALARMS = 50
PATIENT = 5
"""Tries after which what does not get through is worth a look."""
SILENT = timedelta(seconds=45)
"""One look that failed may be a hiccup."""
UNSEEN = timedelta(minutes=3)
"""Without any look for so long, no worker runs."""


KeptBy = Literal["kept_all", "kept_site", "kept_own"]
_ORDER = {"operator": 0, "tenure": 1, "hold": 2}


@dataclass(frozen=True, slots=True)
class Alarm:
    """Accounts that share a trouble: one line, however many they are."""

    kind: Literal["unfenced", "silent", "clock", "reaper", "stuck", "waiting", "idle", "callback", "mail"] | KeptBy
    work: Sequence[str]
    """What fails or waits."""
    site: str
    count: int
    accounts: Sequence[str]
    """Some of them."""
    since: datetime | None
    attempts: int
    error: str
    who: Literal["tenure", "operator", "hold"]
    """`hold`: nothing does not work; an operator keeps it so."""
    command: str
    remedy: str = ""
    sender: str = ""
    """Whose callbacks they are."""


def alarms(now: datetime, late_at: Mapping[str, int], late: Sequence[Standing], stuck: Sequence[Standing],
           waiting: Mapping[Owed, Waiting], senders: Sequence[Unsent], looks: Sequence[Look],
           live: Mapping[str, int], kept: Sequence[Kept] = ()) -> list[Alarm]:
    """Past their end and not known to be fenced; what else waits for a person; then what Tenure tries again; last what
    holds keep."""
    shown = {one.id for one in late}
    found = [*_unfenced(late_at, late), *_idle(now, looks), *_silent(now, looks, live),
             *_stuck([one for one in stuck if one.id not in shown]), *_waiting(now, waiting, bool(late)),
             *_unsent(senders), *_kept(kept)]
    return sorted(found, key=lambda alarm: _ORDER[alarm.who])[:MOST_ALARMS]


def _unfenced(late_at: Mapping[str, int], late: Sequence[Standing]) -> list[Alarm]:
    """By site: it is the site that has to be looked at. A site that lives ends them by itself meanwhile."""
    found = []
    for site, count in late_at.items():
        group = [one for one in late if one.site == site]
        marks = [one.stuck for one in group if one.stuck is not None]
        worst = max(marks, key=lambda mark: mark.count, default=None)
        since = min((one.ends_at for one in group if one.ends_at is not None), default=None)
        found.append(Alarm("unfenced", (Owed.FENCE.value,), site, count, _some(group), since,
                           worst.count if worst else 0, worst.error if worst else "", "operator",
                           _typed("site", "check", site) if worst else "tenure reap --max 200",
                           worst.remedy if worst else ""))
    return sorted(found, key=lambda alarm: (alarm.since is None, str(alarm.since), alarm.site))


def _idle(now: datetime, looks: Sequence[Look]) -> list[Alarm]:
    """Nobody has looked at any site for a while: no worker runs, though there may be nothing to do just now."""
    last = max((one.asked_at for one in looks), default=None)
    if last is None or now - last < UNSEEN:
        return []
    return [Alarm("idle", (), "", len(looks), (), last, 0, "", "operator", "tenure worker")]


def _silent(now: datetime, looks: Sequence[Look], live: Mapping[str, int]) -> list[Alarm]:
    """A site that does not answer, whose clock is off, or that would not end leases by itself. One that is drained and
    empty may be gone for good."""
    found = []
    for one in looks:
        if one.site not in live or now - one.asked_at > UNSEEN:
            continue
        if one.silent_since is not None and now - one.silent_since > SILENT:
            found.append(Alarm("silent", (), one.site, live[one.site], (), one.answered_at or one.silent_since, 0,
                               one.error, "operator", _typed("site", "check", one.site), one.remedy))
            continue
        if one.reaper_off:
            found.append(Alarm("reaper", (), one.site, live[one.site], (), None, 0, one.error, "operator",
                               _typed("site", "check", one.site), one.remedy))
        if one.offset is not None and abs(one.offset) > MOST_OFFSET:
            found.append(Alarm("clock", (), one.site, live[one.site], (), None, 0, "", "operator",
                               _typed("site", "check", one.site)))
    return found


def _stuck(stuck: Sequence[Standing]) -> list[Alarm]:
    """One for each site, work and party that acts next; the error is the one that most of them have."""
    groups = defaultdict(list)
    for one in stuck:
        assert one.stuck is not None
        groups[one.site, one.stuck.what, one.stuck.next].append((one, one.stuck))
    found = []
    for (site, what, who), group in groups.items():
        marks = [mark for _, mark in group]
        error, _ = Counter(mark.error for mark in marks).most_common(1)[0]
        remedy = next((mark.remedy for mark in marks if mark.error == error), "")
        accounts = _some(one for one, _ in group)
        found.append(Alarm("stuck", (what,), site, len(group), accounts, min(mark.since for mark in marks),
                           max(mark.count for mark in marks), error, who, _next_command(site, accounts, who), remedy))
    return sorted(found, key=lambda alarm: (-alarm.count, str(alarm.since), alarm.site))


def _next_command(site: str, accounts: Sequence[str], who: str) -> str:
    if who == "tenure":
        return _typed("site", "check", site)
    return (_typed("account", "show", accounts[0], "--history") if len(accounts) == 1
            else _typed("account", "list", "--stuck", "--site", site))


def _typed(*words: str) -> str:
    """A command line; whatever a name holds, a shell reads it as one word."""
    return shlex.join(("tenure", *words))


def _waiting(now: datetime, waiting: Mapping[Owed, Waiting], told: bool) -> list[Alarm]:
    """All of it in one: what is missing is a worker. Fences that wait are told of already when their accounts are."""
    late = {what: one for what, one in waiting.items()
            if one.since is not None and now - one.since > LATE and not (told and what is Owed.FENCE)}
    if not late:
        return []
    since = min(one.since for one in late.values() if one.since is not None)
    return [Alarm("waiting", tuple(what.value for what in late), "", sum(one.count for one in late.values()), (),
                  since, 0, "", "operator", "tenure worker")]


def _unsent(senders: Sequence[Unsent]) -> list[Alarm]:
    return [Alarm("mail" if one.channel == MAIL else "callback", (), "", one.count, (), one.since, one.attempts, "",
                  "tenure", _typed("outbox", "list", "--unsent", "--channel", MAIL) if one.channel == MAIL
                  else _typed("sender", "test", one.sender), sender=one.sender)
            for one in senders if one.attempts >= PATIENT]


def _kept(kept: Sequence[Kept]) -> list[Alarm]:
    """One for each hold, the widest of those that an account has; its own ones together."""
    groups = defaultdict[tuple[KeptBy, str], list[Kept]](list)
    for one in kept:
        by: tuple[KeptBy, str] = ("kept_site", one.site) if one.of_site else ("kept_own", "")
        groups[("kept_all", "") if one.of_all else by].append(one)
    commands = {"kept_all": _typed("hold", EVERYTHING, "--off"), "kept_own": _typed("reap", "--dry-run")}
    return [Alarm(kind, (), site, sum(one.count for one in group), (), min(one.since for one in group), 0, "", "hold",
                  commands.get(kind) or _typed("hold", site, "--off"))
            for (kind, site), group in sorted(groups.items())]


def _some(group: Iterable[Standing]) -> tuple[str, ...]:
    return tuple(one.id for one, _ in zip(group, range(MOST_NAMED), strict=False))
