"""What accounts have used, as it is shown and exported: every hour with what was measured of it and what was not."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from orchestrator.flows.context import Context
from orchestrator.flows.usage import stints
from orchestrator.lifecycle import usage as rules
from orchestrator.lifecycle.account import Account
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.usage import Hour, Stint
from orchestrator.store import accounts, usage
from orchestrator.store.engine import Tx
from orchestrator.store.errors import NotFound

PAGE = 100


@dataclass(frozen=True, slots=True)
class Used:
    """One account's hours of a period. `read_until`: how far its site has been asked; later hours are still to come.
    `stints`: what the account was when."""

    account: Account
    hours: list[Hour]
    read_until: datetime | None
    stints: list[Stint]

    def stint(self, at: datetime) -> Stint:
        """What it was at this instant. A clock hour is its beginning's, as in the bill."""
        return next((one for one in reversed(self.stints) if one.since <= at), self.stints[0])


def of(ctx: Context, account_id: str, since: datetime | None = None, until: datetime | None = None) -> Used:
    """One account's, its whole life unless a period is given. RuleError `not_found`."""
    with ctx.store.read() as tx:
        try:
            account = accounts.record(tx, account_id).account
        except NotFound as unknown:
            raise RuleError("not_found", str(unknown)) from unknown
        begin = since or account.starts_at or account.since
        return _used(ctx, tx, account, begin, until or max(ctx.clock(), begin))


def export(ctx: Context, since: datetime, until: datetime, site: str | None = None,
           account: str | None = None) -> Iterator[Used]:
    """Those of all accounts that were at a site in the period, by id, one at a time: a year of a large site fits."""
    after = ""
    while True:
        with ctx.store.read() as tx:
            page = usage.leases_in(tx, since, until, site=site, account=account, after=after, limit=PAGE)
        for record in page:
            with ctx.store.read() as tx:
                yield _used(ctx, tx, record.account, since, until)
        if len(page) < PAGE:
            return
        after = page[-1].id


def _used(ctx: Context, tx: Tx, account: Account, since: datetime, until: datetime) -> Used:
    begin, end = rules.hour_of(since), rules.hour_from(until)
    read_until = usage.read_until(tx, account.id)
    span = rules.lease(account, ctx.clock(), ctx.settings.metering.every, read_until)
    lives = stints.of(tx, account)
    asked = rules.asked(lives, (max(span[0], begin), min(span[1], end))) if span is not None else {}
    return Used(account, rules.by_hour(usage.rows(tx, account.id, begin, end), asked), read_until, lives)


@dataclass(frozen=True, slots=True)
class Day:
    """One meter in one civil day."""

    day: str
    meter: str
    amount: int
    covered: timedelta
    missing: timedelta


def by_day(hours: list[Hour], where: tzinfo) -> list[Day]:
    """Sums by civil day and meter. A day nobody measured any of shows nothing used, and all of it missing."""
    days: dict[tuple[str, str], Day] = {}
    for one in hours:
        key = f"{one.hour.astimezone(where):%Y-%m-%d}", one.meter
        so_far = days.get(key, Day(*key, 0, timedelta(), timedelta()))
        days[key] = Day(*key, so_far.amount + (one.amount or 0), so_far.covered + one.covered,
                        so_far.missing + one.missing)
    return [days[key] for key in sorted(days)]
