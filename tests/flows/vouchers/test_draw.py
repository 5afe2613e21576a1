"""The weekly draw: who may enter and when, what is committed, who gets the vouchers that nobody claimed."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from orchestrator.flows.vouchers import draw
from orchestrator.lifecycle.draw import verify
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.holder import Holder, HolderKind
from orchestrator.store import draws, journal, outbox
from orchestrator.store.draws import DrawRow
from tests.flows.scheme import apply, checked, programme
from tests.flows.town import START, Town

DAY = timedelta(days=1)
CLOSES = START + 4 * DAY


def holder(nth: int, **other: object) -> Holder:
    return replace(Holder(f"u-{nth}", f"Holder {nth}", HolderKind.INDIVIDUAL, f"u{nth}@example.com"),
                   **other)  # type: ignore[arg-type]


def opened(town: Town, *prizes: int, entrants: int = 0, **other: object) -> str:
    """A draw of these prizes, 25 of 96 h unless said, with so many entrants."""
    of = programme("nanjing-trial", **{"offered_weekly": None} | other)
    apply(town, of)
    draw.open_(town.ctx, DrawRow("w10", of.name, town.sender.id, CLOSES, tuple(map(Decimal, prizes or [96] * 25))),
               "test")
    for nth in range(entrants):
        draw.enter(town.ctx, "w10", holder(nth), "test")
    return "w10"


def drawn(town: Town, *prizes: int, entrants: int) -> dict[str, object]:
    """A draw that was run after it closed."""
    name = opened(town, *prizes, entrants=entrants)
    town.advance_to(CLOSES)
    draw.close(town.ctx, name, "test")
    return draw.run(town.ctx, name, "3412.07", "test")


def code(call: object, *args: object) -> str:
    with pytest.raises(RuleError) as caught:
        call(*args)  # type: ignore[operator]
    return caught.value.code


def whose(entrant: str, town: Town) -> Holder:
    """The holder behind an entrant's id."""
    from orchestrator.store import holders

    with town.store.read() as tx:
        found = holders.get(tx, entrant)
    assert found is not None
    return found


def test_a_week_of_2399_hours_is_refused_and_one_of_2400_opens(town: Town) -> None:
    """98 of 24 h and one of 47 h are an hour too few; 100 of 24 h are enough."""
    promised = programme("nanjing-trial").offered_weekly
    assert code(lambda: opened(town, *[24] * 98, 47, offered_weekly=promised)) == "week_short"
    assert opened(town, *[24] * 100, offered_weekly=promised) == "w10"


@pytest.mark.parametrize("hours", [23, 97])
def test_a_prize_outside_of_24_to_96_hours_is_refused(town: Town, hours: int) -> None:
    """A draw gives nothing that the programme does not."""
    assert code(lambda: opened(town, hours)) == "worth_out_of_range"


def test_a_late_entry_is_refused(town: Town) -> None:
    """At the very instant of closing."""
    name = opened(town)
    town.advance_to(CLOSES - timedelta(seconds=1))
    draw.enter(town.ctx, name, holder(1), "test")
    town.advance_to(CLOSES)
    assert code(draw.enter, town.ctx, name, holder(2), "test") == "draw_closed"


def test_an_entity_enters_once(town: Town) -> None:
    """By its credit code, whatever it calls itself."""
    name = opened(town)
    firm = holder(1, kind=HolderKind.FIRM, entity="91350100M000100Y43")
    draw.enter(town.ctx, name, firm, "test")
    assert code(draw.enter, town.ctx, name, replace(firm, id="u-2", name="Other"), "test") == "already_entered"


def test_who_may_not_hold_may_not_enter(town: Town) -> None:
    """The programme's own rules decide."""
    name = opened(town, holders=(HolderKind.UNIVERSITY,))
    assert code(draw.enter, town.ctx, name, holder(1), "test") == "holder_kind"


def test_nothing_is_drawn_before_the_list_is_committed(town: Town) -> None:
    """And nothing is committed while entries are taken."""
    name = opened(town, entrants=3)
    assert code(draw.close, town.ctx, name, "test") == "draw_open"
    town.advance_to(CLOSES)
    assert code(draw.run, town.ctx, name, "1", "test") == "draw_not_committed"


def test_a_draw_is_run_with_one_value(town: Town) -> None:
    """The same value again is the same answer; another is refused."""
    first = drawn(town, 24, 96, entrants=5)
    assert draw.run(town.ctx, "w10", "3412.07", "test") == first
    assert code(draw.run, town.ctx, "w10", "3412.08", "test") == "draw_done"


def test_what_is_published_verifies_and_names_nobody(town: Town) -> None:
    """Ids only; the commitment is the one of before."""
    name = opened(town, 24, 96, entrants=5)
    town.advance_to(CLOSES)
    committed = draw.close(town.ctx, name, "test")["commitment"]
    published = draw.run(town.ctx, name, "3412.07", "test")
    assert (verify(published, committed), "Holder" in str(published)) == ([], False)


def test_a_winner_redeems_and_nobody_else_can(town: Town) -> None:
    """The code opens an account of the prize's hours, for its winner alone."""
    drawn(town, 96, entrants=3)
    won = draw.winners(town.ctx, "w10", "test")[0]
    other = next(holder(nth) for nth in range(3) if holder(nth) != whose(won.entrant, town))
    assert code(lambda: town.redeem(won.code, holder=other)) == "not_the_winner"
    account = town.redeem(won.code, holder=whose(won.entrant, town)).account
    town.work()
    assert town.account(account).ends_at == CLOSES + timedelta(hours=96)
    assert checked(town) == []


def test_what_nobody_claimed_goes_to_the_waiting_list(town: Town) -> None:
    """In the published order, the higher prize first; what was claimed stays where it is; the old codes are dead."""
    waiting = drawn(town, 96, 48, 24, entrants=6)["waiting"]
    first = draw.winners(town.ctx, "w10", "test")
    claimed = next(won for won in first if won.prize == 48)
    town.redeem(claimed.code, holder=whose(claimed.entrant, town))
    assert code(draw.pass_on, town.ctx, "w10", "test") == "claims_open"
    town.advance(7 * DAY)
    passed = draw.pass_on(town.ctx, "w10", "test")
    assert [(won.entrant, won.prize) for won in passed] == [
        (waiting[0], Decimal(96)), (waiting[1], Decimal(24))]  # type: ignore[index]
    late = next(won for won in first if won.prize == 96)
    assert code(lambda: town.redeem(late.code, holder=whose(late.entrant, town))) == "voucher_void"
    assert town.redeem(passed[0].code, holder=whose(passed[0].entrant, town))


def test_nothing_is_passed_on_when_nobody_waits(town: Town) -> None:
    """The winner keeps what has run out; no voucher is lost twice."""
    drawn(town, 96, entrants=1)
    town.advance(8 * DAY)
    assert draw.pass_on(town.ctx, "w10", "test") == []


def rows(town: Town) -> list[tuple[str, str, object]]:
    """Who passed on how many, oldest first."""
    with town.store.read() as tx:
        return [(row.action, row.actor, row.facts["vouchers"]) for row in reversed(journal.list_(tx, subject="w10"))
                if row.action == "draw.passed_on"]


def state(town: Town) -> str:
    with town.store.read() as tx:
        return draws.list_(tx)[0].state


def test_a_worker_passes_on_when_the_claim_time_is_over(town: Town) -> None:
    """Not a second before; to those who wait, in their order, until nobody does. The sender is told that there are new
    winners, and that is all that is told."""
    waiting = drawn(town, 96, 48, entrants=5)["waiting"]
    assert isinstance(waiting, list)
    town.advance(7 * DAY - timedelta(seconds=1))
    draw.pass_all_on(town.ctx)
    assert rows(town) == []
    town.advance(timedelta(seconds=1))
    for _ in range(2):
        draw.pass_all_on(town.ctx)
    assert [one.entrant for one in draw.winners(town.ctx, "w10", "test")] == sorted(waiting[:2])
    with town.store.read() as tx:
        [told] = outbox.find(tx, outbox.Filter(type="draw.passed_on"))
    assert told.data == {"draw": "w10", "programme": "nanjing-trial", "vouchers": 2,
                         "claim_by": (CLOSES + 14 * DAY).isoformat()}
    for _ in range(4):
        town.advance(7 * DAY)
        draw.pass_all_on(town.ctx)
    assert rows(town) == [("draw.passed_on", "worker:w1", count) for count in (2, 1, 0)]
    assert (state(town), draw.pass_on(town.ctx, "w10", "test")) == ("over", [])


def test_many_workers_pass_on_once(town: Town) -> None:
    """Eight at the same instant: two vouchers, two new winners."""
    drawn(town, 96, 48, entrants=9)
    town.advance(7 * DAY)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda nth: draw.pass_all_on(town.worker(f"w{nth}")), range(8)))
    assert [(action, count) for action, _, count in rows(town)] == [("draw.passed_on", 2)]
    assert len(draw.winners(town.ctx, "w10", "test")) == 2


def test_that_nothing_is_left_to_pass_on_is_said_once(town: Town) -> None:
    """Also by eight at the same instant."""
    drawn(town, 96, 48, entrants=2)
    town.advance(7 * DAY)
    with ThreadPoolExecutor(8) as pool:
        passed = list(pool.map(lambda nth: draw.pass_on(town.worker(f"w{nth}"), "w10", "test"), range(8)))
    assert (passed, rows(town)) == ([[]] * 8, [("draw.passed_on", "test", 0)])


def test_a_draw_whose_vouchers_were_all_redeemed_is_over(town: Town) -> None:
    """And stays as it was drawn: the same value is the same answer."""
    first = drawn(town, 96, entrants=2)
    [won] = draw.winners(town.ctx, "w10", "test")
    town.redeem(won.code, holder=whose(won.entrant, town))
    town.advance(7 * DAY)
    draw.pass_all_on(town.ctx)
    assert (state(town), draw.run(town.ctx, "w10", "3412.07", "test")) == ("over", first)


def test_a_draw_that_cannot_be_passed_on_holds_up_no_other(town: Town) -> None:
    """Its programme is gone: the refusal is logged, and the other draw's vouchers go on."""
    drawn(town, 96, entrants=2)
    with town.store.write() as tx:
        draws.add(tx, DrawRow("w09", "gone", town.sender.id, CLOSES, (Decimal(96),)))
        draws.save(tx, "w09", "drawn", {"waiting": 3}, CLOSES)
    town.advance(7 * DAY)
    draw.pass_all_on(town.ctx)
    assert [count for _, _, count in rows(town)] == [1]


def test_who_looked_at_codes_stands_in_the_journal(town: Town) -> None:
    """They are as good as money: how many were shown, to whom and why."""
    drawn(town, 96, 48, entrants=5)
    draw.winners(town.ctx, "w10", "cli:auditor", "asked for")
    with town.store.read() as tx:
        row = journal.list_(tx, subject="w10")[0]
    assert (row.action, row.actor, row.why, row.facts) == ("draw.codes_shown", "cli:auditor", "asked for",
                                                           {"vouchers": 2})
