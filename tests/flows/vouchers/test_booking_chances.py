"""A town's weeks by chance: redeemed, booked, extended, moved, cancelled, with time passing and sites failing. Whatever
happens, no site has more accounts than places, nobody gets in early, and what was given back is good again."""

import random
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from orchestrator.flows.accounts.extend import extend
from orchestrator.flows.vouchers import booking
from orchestrator.lifecycle.account import USABLE, State
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.programme import Programme
from orchestrator.lifecycle.voucher import VoucherState
from orchestrator.store import redemptions, sites, vouchers
from orchestrator.store.sites import Places
from tests.flows import scheme
from tests.flows.booked import DAY, HOUR, SECOND
from tests.flows.town import START, Town, town

COMING = START + 10 * DAY
STEPS = 50


def there(site: str, town: Town) -> int:
    """How many places the site has now."""
    return 2 if site == "north" else 1 + 2 * (town.clock.at >= COMING)


def step(town: Town, trial: Programme, chance: random.Random) -> None:
    """One thing that somebody does, or some hours that pass."""
    ids = [record.id for record in town.all() if record.account.state is not State.RECLAIMED]
    later = town.clock.at + chance.randrange(1, 20 * 24) * HOUR
    match chance.choice(("now", "book", "book", "extend", "cancel", "move", "pass", "pass", "pass", "fail")):
        case "now":
            town.redeem(scheme.code(town, trial, "24"))
        case "book":
            town.redeem(scheme.code(town, trial, "24"), begins_at=later)
        case "extend" if ids:
            extend(town.ctx, chance.choice(ids), by=chance.randrange(1, 96) * HOUR, actor="test")
        case "cancel" if ids:
            booking.cancel(town.ctx, chance.choice(ids), actor="test")
        case "move" if ids:
            booking.move(town.ctx, chance.choice(ids), later, actor="test")
        case "fail":
            with town.sites["north"].keeper.held() as world:
                world.faults.full = not world.faults.full
        case "pass":
            live(town, chance.randrange(1, 48) * HOUR)


def live(town: Town, by: timedelta) -> None:
    """So much time passes, and what is due is done when it is due."""
    until = town.clock.at + by
    while town.clock.at < until:
        due = [record.due_at for record in town.all() if record.due_at is not None]
        town.advance_to(min(until, max(min(due, default=until), town.clock.at + SECOND)))
        town.work()
        check(town)


def check(town: Town) -> None:
    """What must hold at every instant."""
    for name, site in town.sites.items():
        tenancies = site.keeper.peek(lambda world: dict(world.tenancies))
        assert len(tenancies) <= there(name, town)
        for id, tenancy in tenancies.items():
            begins_at = town.account(id).begins_at
            assert not tenancy.open or begins_at is None or tenancy.starts_at >= begins_at.timestamp()  # type: ignore[operator]


@pytest.mark.parametrize("seed", range(3))
def test_weeks_by_chance(tmp_path: Path, seed: int) -> None:
    """Fifty things in some weeks; in the end everything is over, and the sums are right."""
    chance = random.Random(seed)  # noqa: S311 - a test's dice
    with town(tmp_path, ("north", "south")) as made:
        trial = scheme.programme("nanjing-trial", cap=scheme.programme("nanjing-trial").pool, grace=12 * HOUR)
        scheme.apply(made, trial)
        with made.store.write() as tx:
            sites.put_places(tx, "north", [Places("north", made.offer.name, 2)])
            sites.put_places(tx, "south", [Places("south", made.offer.name, 1),
                                           Places("south", made.offer.name, 2, from_=COMING)])
        for _ in range(STEPS):
            with suppress(RuleError):
                step(made, trial, chance)
            check(made)
        with made.sites["north"].keeper.held() as world:
            world.faults.full = False
        live(made, 60 * DAY)
        over(made)


def over(made: Town) -> None:
    """Everything has ended; vouchers are used by those who had an account, and by nobody else."""
    used = Decimal(0)
    for record in made.all():
        account = record.account
        assert account.state is State.RECLAIMED, record
        assert account.state not in USABLE
        used += 24 if account.starts_at else 0
        with made.store.read() as tx:
            redeemed = redemptions.by_account(tx, account.id)
            assert redeemed is not None
            voucher = vouchers.get(tx, redeemed.voucher or "")
        assert voucher is not None
        assert (voucher.state is VoucherState.REDEEMED) == (account.starts_at is not None)
    assert used > 0
    assert scheme.balance(made, "pool/nanjing-trial/ever/hours") == -used
    assert scheme.checked(made) == []
