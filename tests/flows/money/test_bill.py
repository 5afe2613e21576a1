"""Bills of contracts: shown, closed once, paid by cash vouchers, and traceable to what they are from."""

import csv
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from orchestrator.flows.accounts import operate
from orchestrator.flows.accounts.extend import extend
from orchestrator.flows.money import bill, bill_paper, contract
from orchestrator.flows.usage import outages as outages_flow
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.bill import Bill, Line, Rule
from orchestrator.lifecycle.contract import OPEN_END
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.outage import Outage, Outcome
from orchestrator.lifecycle.price import Prices
from orchestrator.lifecycle.times import zone
from orchestrator.lifecycle.usage import Measured
from orchestrator.store import journal, outages, papers, usage
from tests.flows.money.test_contract import PRICES, drafted, priced, refusing
from tests.flows.scheme import apply, balance, checked, programme, redeem
from tests.flows.town import HOLDER, START, Town

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
APRIL = datetime(2027, 3, 31, 16, tzinfo=UTC)
METERED = replace(PRICES, metered=("cpu",))


def signed(town: Town, days: int | None = 90, customer: str = "B", prices: Prices = PRICES) -> str:
    """The id of an account on a contract that began at START, 1 March 16:00 in Shanghai."""
    account = priced(town, prices)
    until = None if days is None else town.clock.at + days * DAY
    paper = contract.draft(town.ctx, account, customer, until, actor="test")
    contract.sign(town.ctx, paper.id, paper.digest or "", actor="holder")
    town.work()
    assert town.account(account).state is State.CONTRACTED
    return account


def previewed(town: Town, account: str, month: str = "2027-03") -> Bill:
    return bill.preview(town.ctx, account, month)


def closed(town: Town, account: str, month: str = "2027-03") -> Bill:
    return bill.close(town.ctx, account, month, actor="test")


def read(town: Town, account: str, since: datetime, hours: int, cpu: int) -> None:
    """The site was asked: so many core-milliseconds in each of these hours."""
    with town.store.write() as tx:
        usage.put(tx, account, [Measured(at, at + HOUR, HOUR, {"cpu": cpu}) for at in (
            since + nth * HOUR for nth in range(hours))], town.clock.at)


def test_a_month_is_billed_from_the_contracts_beginning(town: Town) -> None:
    """From 1 March 16:00 to the end of March are 728 h: 3,640.00 less 45 % and 5 %."""
    account = signed(town)
    town.clock.at = APRIL
    made = previewed(town, account)
    assert [(line.rule, line.amount) for line in made.lines[:1]] == [(Rule.RESERVED, Decimal("3640.00"))]
    assert (made.base, made.price, made.whole) == (Decimal("3640.00"), Decimal("1901.90"), True)


def test_the_present_month_is_billed_up_to_now(town: Town) -> None:
    """And says that it is not whole."""
    account = signed(town)
    town.clock.at += 10 * HOUR
    made = previewed(town, account)
    assert (made.base, made.whole, made.until) == (Decimal("50.00"), False, town.clock.at)


def test_all_bills_come_to_the_price_that_was_signed(town: Town) -> None:
    """90 days in four civil months: 5,643.00."""
    account = signed(town)
    town.advance(120 * DAY)
    town.work()
    assert sum(previewed(town, account, f"2027-0{nth}").price for nth in (3, 4, 5)) == Decimal("5643.00")
    with refusing("not_in_force"):
        previewed(town, account, "2027-06")


def test_each_line_names_its_rows_and_its_rule(town: Town) -> None:
    """The contract and the price list; the discounts; the voucher's entry in the sums."""
    account = signed(town)
    of = programme("wuxi-cash")
    apply(town, of)
    redeem(town, of, "100.00", account=account)
    town.clock.at = APRIL
    made = previewed(town, account)
    with town.store.read() as tx:
        paper = papers.list_(tx, account=account)[0]
    cpu, voucher = made.lines[0], made.lines[-1]
    assert (cpu.rows, cpu.figure, cpu.per_hour, cpu.quantity) == ((paper.id,), "nanjing", Decimal(10), Decimal(364))
    assert {line.rule: line.figure for line in made.lines[3:5]} == {Rule.CLASS: "45%", Rule.TERM: "5%"}
    assert (voucher.rule, voucher.what, voucher.amount) == (Rule.VOUCHER, "wuxi-cash", Decimal("-100.00"))
    assert voucher.rows[0].startswith("redeem/")
    assert made.total == sum(line.amount for line in made.lines) == Decimal("1801.90")


def test_a_sites_outage_is_not_counted(town: Town) -> None:
    """28 of 728 hours."""
    account = signed(town)
    town.clock.at = APRIL
    with town.store.write() as tx:
        out = Outage("o-1", "north", START + 10 * DAY, START + 10 * DAY + 28 * HOUR, "cli:test", "flood", town.clock.at)
        outages.add(tx, out)
        outages.credit(tx, outages.Credit(account, "o-1", 28 * 3600, Outcome.BILL, town.clock.at))
    made = previewed(town, account)
    assert (made.base, made.parts[0].credited) == (Decimal("3500.00"), 28 * 3600)


def test_an_outage_that_no_worker_has_settled_yet_is_not_billed(town: Town) -> None:
    """It was told an instant before the month was closed: closed, the bill takes no later word."""
    account = signed(town)
    town.clock.at = APRIL
    begun = START + 10 * DAY
    told = outages_flow.told(town.ctx, "north", begun, begun + 28 * HOUR, actor="test", why="flood")
    outages_flow.add(town.ctx, told)
    assert closed(town, account).base == Decimal("3500.00")
    outages_flow.settle(town.ctx, "north")
    assert town.journalled(account).count("account.credited") == 1


@pytest.mark.parametrize(("begun", "hours", "meant"), [
    (APRIL - 10 * HOUR, 4, (Outcome.BILL_CLOSED, 0)), (APRIL - HOUR, 4, (Outcome.BILL, 3 * 3600))])
def test_an_outage_that_is_told_after_the_close_says_what_it_still_changes(
        town: Town, begun: datetime, hours: int, meant: tuple[Outcome, int]) -> None:
    """March was closed: nothing of it; of an outage that goes on into April, what lies there."""
    account = signed(town)
    town.clock.at = APRIL + 5 * HOUR
    march = closed(town, account)
    told = outages_flow.told(town.ctx, "north", begun, begun + hours * HOUR, actor="test", why="flood")
    planned = outages_flow.plan(town.ctx, told)
    outages_flow.add(town.ctx, told)
    assert [(one.outcome, one.seconds) for one in planned] == [meant]
    assert [(one.outcome, one.seconds) for one in outages_flow.settle(town.ctx, "north")] == [meant]
    with town.store.read() as tx:
        assert [(one.outcome, one.seconds) for one in outages.credits_of(tx, account)] == [meant]
    assert closed(town, account) == march
    assert previewed(town, account, "2027-04").parts[0].credited == meant[1]


def test_a_metered_resource_is_charged_by_its_rows_and_a_gap_is_not(town: Town) -> None:
    """Two hours were read, of a quarter of a core: half a core-hour at 10.00, less 45 % and 5 %; the rest is a gap."""
    account = signed(town, prices=METERED)
    town.clock.at = APRIL
    read(town, account, START + DAY, 2, 900_000)
    made = previewed(town, account)
    assert made.lines[0].rows == ("meter/cpu/2027-03-02T08Z/2027-03-02T10Z",)
    assert (made.lines[0].amount, made.price) == (Decimal("5.00"), Decimal("2.61"))
    assert made.parts[0].gaps["cpu"] == ("2027-03-01T08Z/2027-03-02T08Z", "2027-03-02T10Z/2027-03-31T14Z")


def test_a_metered_contract_costs_its_quote_at_most(town: Town) -> None:
    """Every hour at the limit, and one beyond it."""
    account = signed(town, days=20, prices=METERED)
    town.clock.at = APRIL
    read(town, account, START, 480, 1_800_000)
    read(town, account, START, 1, 3_600_000)
    with town.store.read() as tx:
        quoted = papers.list_(tx, account=account)[0].price
    assert previewed(town, account).price == quoted


def test_an_open_contract_is_billed_by_the_hour(town: Town) -> None:
    """No end, no long-term discount, half a core at 10.00 less 45 %: 2.75 an hour for as long as it lasts."""
    account = signed(town, days=None)
    with town.store.read() as tx:
        paper = papers.list_(tx, account=account)[0]
        document = papers.document(tx, paper.id)
    assert (paper.ends_at, paper.price, town.account(account).ends_at) == (OPEN_END, Decimal("2.75"), OPEN_END)
    assert document is not None
    assert "Price of an hour" in document.decode()
    town.clock.at = APRIL
    assert previewed(town, account).price == Decimal("2002.00")
    extend(town.ctx, account, to=APRIL + DAY, actor="test")
    town.clock.at = APRIL + 90 * DAY
    assert previewed(town, account, "2027-04").price == Decimal("66.00")


def test_an_early_end_ends_the_bill(town: Town) -> None:
    """Fenced and taken back after a day: 24 h."""
    account = signed(town)
    town.advance(DAY)
    operate.fence(town.ctx, account, actor="test")
    operate.reclaim(town.ctx, account, actor="test")
    town.advance(HOUR)
    town.work()
    assert town.account(account).state is State.RECLAIMED
    town.clock.at = APRIL
    assert previewed(town, account).base == Decimal("120.00")


def test_two_contracts_in_one_month_are_two_parts(town: Town) -> None:
    """Ten days, two days of grace, ten more days: each by its own terms, the grace free."""
    account = signed(town, days=10, customer="E")
    town.advance(12 * DAY)
    town.work()
    paper = drafted(town, account, 10)
    contract.sign(town.ctx, paper.id, paper.digest or "", actor="holder")
    town.work()
    town.clock.at = APRIL
    made = previewed(town, account)
    assert [(part.base, part.price) for part in made.parts] == [
        (Decimal("1200.00"), Decimal("1200.00")), (Decimal("1200.00"), Decimal("660.00"))]


@pytest.mark.parametrize(("month", "code"), [("2027-04", "month_ahead"), ("2027-02", "not_in_force"),
                                             ("2027-3", "bad_month")])
def test_a_month_without_a_bill_is_refused(town: Town, month: str, code: str) -> None:
    """Ahead, before the contract, or no month at all."""
    account = signed(town)
    town.clock.at += DAY
    with refusing(code):
        previewed(town, account, month)


def test_a_month_begins_with_its_first_second(town: Town) -> None:
    """At its first instant there is nothing of it to bill; a second later there is, and last month can be closed."""
    account = signed(town)
    town.clock.at = APRIL
    for look in (previewed, closed):
        with refusing("month_ahead"):
            look(town, account, "2027-04")
    assert closed(town, account, "2027-03").whole
    town.clock.at += timedelta(seconds=1)
    assert [part.seconds for part in previewed(town, account, "2027-04").parts] == [1]


def test_an_account_without_a_contract_is_refused(town: Town) -> None:
    """Drafted is not signed; an unknown account is not known."""
    account = priced(town)
    drafted(town, account)
    with refusing("no_contract"):
        previewed(town, account)
    with refusing("not_found"):
        previewed(town, "a234567abc")


def test_a_contract_without_a_price_is_refused_and_says_so(town: Town) -> None:
    """A platform's own contract, which no price list was used for."""
    account = town.active()
    town.ask(account)
    town.work()
    town.clock.at += DAY
    with pytest.raises(RuleError, match="signed without a price list"):
        previewed(town, account)


def test_a_contract_that_ended_as_it_began_has_no_bill(town: Town) -> None:
    """Its end passed while the stack converged; or it was fenced in the instant in which it began."""
    fenced, account = signed(town), priced(town)
    operate.fence(town.ctx, fenced, actor="test")
    paper = drafted(town, account, 1)
    contract.sign(town.ctx, paper.id, paper.digest or "", actor="holder")
    town.stacks.after = lambda operation, _: town.advance(2 * DAY) if operation == "up" else None
    town.work()
    town.clock.at = APRIL
    for one in (account, fenced):
        for look in (previewed, closed):
            with refusing("not_in_force"):
                look(town, one)


def test_a_contract_without_a_price_keeps_no_other_from_its_bill(town: Town) -> None:
    """A platform's in March, then a drafted one: March is closed with what has a price, and says what has none."""
    account = priced(town)
    town.ask(account, "C-platform", town.offer.name, 5 * DAY)
    town.work()
    town.advance(6 * DAY)
    town.work()
    paper = drafted(town, account, 60)
    contract.sign(town.ctx, paper.id, paper.digest or "", actor="holder")
    town.work()
    town.clock.at = APRIL + 31 * DAY
    march = closed(town, account)
    assert ([part.contract for part in march.parts], march.unpriced) == ([paper.id], ("C-platform",))
    assert previewed(town, account) == march
    assert "C-platform,no-price" in bill_paper.csv_of(march)
    assert "合同 C-platform 没有价格" in bill_paper.html_of(march, None, zone()).decode()
    assert bill_paper.document_of(march)["unpriced"] == ("C-platform",)
    assert closed(town, account, "2027-04").unpriced == ()


def test_hours_under_a_fence_that_may_be_lifted_are_not_closed_away(town: Town) -> None:
    """Fenced on 29 March: until the fence is lifted, or the account is taken back, March stays open."""
    account, other = signed(town), signed(town)
    town.advance(28 * DAY)
    for one in (account, other):
        operate.fence(town.ctx, one, actor="test")
    town.advance_to(APRIL + DAY)
    for one in (account, other):
        with refusing("fence_open"):
            closed(town, one)
    operate.unfence(town.ctx, account, actor="test")
    operate.reclaim(town.ctx, other, actor="test")
    assert [closed(town, one).parts[0].seconds // 3600 for one in (account, other)] == [728, 672]


def test_a_fence_of_a_later_month_keeps_no_month_open(town: Town) -> None:
    """What lies under it is not this month's."""
    account = signed(town)
    town.advance_to(APRIL + DAY)
    operate.fence(town.ctx, account, actor="test")
    assert closed(town, account).parts[0].seconds == 728 * 3600


def test_closing_takes_the_vouchers_once(town: Town) -> None:
    """3,000.00 of vouchers: 1,901.90 for March, the rest for April; closing again is the same bill."""
    account = signed(town)
    of = programme("wuxi-cash")
    apply(town, of)
    redeem(town, of, "3000.00", account=account)
    town.clock.at = APRIL + 31 * DAY
    march = closed(town, account)
    town.clock.at += HOUR
    assert closed(town, account) == march == previewed(town, account)
    april = closed(town, account, "2027-04")
    assert (march.total, april.taken, april.total) == (Decimal(0), Decimal("1098.10"), april.price - Decimal("1098.10"))
    assert balance(town, f"credit/{account}/CNY") == 0
    assert balance(town, f"billed/{account}/CNY") == march.price + april.price
    assert balance(town, f"due/{account}/CNY") == -april.total
    assert checked(town) == []
    assert town.journalled(account).count("bill.closed") == 2


def test_a_preview_leaves_to_earlier_months_what_is_theirs(town: Town) -> None:
    """April is shown with what March, not yet closed, will leave."""
    account = signed(town)
    of = programme("wuxi-cash")
    apply(town, of)
    redeem(town, of, "3000.00", account=account)
    town.clock.at = APRIL + 31 * DAY
    assert previewed(town, account, "2027-04").taken == Decimal("1098.10")


def test_a_closed_bill_stays_as_it_is(town: Town) -> None:
    """Whatever is read, credited or redeemed later; what was closed is what is told."""
    account = signed(town, prices=METERED)
    town.clock.at = APRIL + 2 * HOUR
    made = closed(town, account)
    read(town, account, START + DAY, 2, 900_000)
    assert previewed(town, account) == made


def test_months_are_closed_in_order_and_when_they_are_over(town: Town) -> None:
    """Vouchers pay the earlier bill first."""
    account = signed(town)
    town.clock.at = APRIL - timedelta(seconds=1)
    with refusing("month_open"):
        closed(town, account)
    town.clock.at = APRIL + 31 * DAY
    with refusing("earlier_open"):
        closed(town, account, "2027-04")


def test_a_month_whose_meters_are_not_all_read_is_not_closed(town: Town) -> None:
    """What would be read afterwards were never asked for. After two hours it is a gap, and the bill says so."""
    account = signed(town, prices=METERED)
    read(town, account, START, 700, 900_000)
    town.clock.at = APRIL + timedelta(minutes=1)
    with refusing("not_read"):
        closed(town, account)
    read(town, account, START, 728, 900_000)
    assert "cpu" not in closed(town, account).parts[0].gaps


def test_meters_that_are_never_read_do_not_keep_a_month_open(town: Town) -> None:
    """Its site is lost: two hours later the rest is a gap."""
    account = signed(town, prices=METERED)
    read(town, account, START, 700, 900_000)
    town.clock.at = APRIL + 2 * HOUR
    assert closed(town, account).parts[0].gaps["cpu"] == ("2027-03-30T12Z/2027-03-31T16Z",)


def test_many_who_close_at_once_close_it_once(town: Town) -> None:
    """The same bill for all, one entry in the sums."""
    account = signed(town)
    town.clock.at = APRIL
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: closed(town, account), range(16)))
    assert len({(one.price, one.closed_at) for one in found}) == 1
    assert (balance(town, f"billed/{account}/CNY"), checked(town)) == (found[0].price, [])
    with town.store.read() as tx:
        assert len([one for one in journal.list_(tx, subject=account) if one.action == "bill.closed"]) == 1


def test_the_csv_adds_up_and_has_no_formula(town: Town) -> None:
    """Its amounts come to what is to pay; gaps and outages cost nothing; no text begins as a formula does."""
    account = signed(town, prices=METERED)
    town.clock.at = APRIL
    read(town, account, START + DAY, 2, 900_000)
    made = previewed(town, account)
    made = replace(made, parts=(replace(made.parts[0], lines=tuple(
        replace(line, what="=1+1" if line.rule is Rule.CLASS else line.what) for line in made.parts[0].lines)),))
    rows = list(csv.DictReader(bill_paper.csv_of(made).splitlines()))
    assert sum(Decimal(row["amount"]) for row in rows) == made.total
    assert [row["what"] for row in rows if row["rule"] == "class-discount"] == ["'=1+1"]
    assert {row["amount"] for row in rows if row["rule"] == "gap"} == {"0.00"}
    assert not [cell for row in rows for name, cell in row.items() if name != "amount" and cell[:1] in "=+-@" and cell]


def test_the_page_says_everything_in_both_languages(town: Town) -> None:
    """A4, Chinese and English, the customer's name escaped, every line and gap."""
    account = signed(town, prices=METERED)
    town.clock.at = APRIL
    read(town, account, START + DAY, 2, 900_000)
    holder = replace(HOLDER, name="<某某大学>", entity="91350100M000100Y43")
    said = bill_paper.html_of(previewed(town, account), holder, zone()).decode()
    for words in ("算力账单", "Computing power bill", "&lt;某某大学&gt;", "size: A4", "按实际用量",
                  "Discount of class B", "计量缺口", "2027-03-02 16:00", "应付金额", "91350100M000100Y43",
                  f"{account}/2027-03", "CPU（核 cores）", "内存 Memory（GiB）", "Provider (seal)"):
        assert words in said


def test_the_pages_head_says_the_contracts_own_span(town: Town) -> None:
    """It began at 16:00 on the first; the month is named beside it."""
    account = signed(town, days=20)
    town.clock.at = APRIL
    said = bill_paper.html_of(previewed(town, account), None, zone()).decode()
    assert re.search(r"账期 .*2027-03，.* 2027-03-01 16:00 – 2027-03-21 16:00</td>", said)


def test_a_cash_vouchers_worth_on_the_page_has_two_places(town: Town) -> None:
    """1,000.50, not 1000.5."""
    account = signed(town)
    town.clock.at = APRIL
    voucher = Line("", Rule.VOUCHER, "wuxi-cash", "1000.5", Decimal("-1000.50"), rows=("redeem/x",))
    said = bill_paper.html_of(replace(previewed(town, account), vouchers=(voucher,)), None, zone()).decode()
    assert "Cash voucher of 1,000.50 yuan" in said


def test_a_month_after_the_contract_says_when_that_ended(town: Town) -> None:
    """And one before it, when it begins."""
    account = signed(town, days=20)
    town.advance(90 * DAY)
    for month, said in (("2027-05", "the last one before it ended at 2027-03-21 16:00"),
                        ("2027-02", "the first began at 2027-03-01 16:00")):
        with pytest.raises(RuleError, match=said):
            previewed(town, account, month)


def test_quantities_on_the_page_come_to_their_amounts(town: Town) -> None:
    """728 h of 48 MiB are 34.125 GiB-hours, not 34.12 or 34.13."""
    account = signed(town, prices=replace(PRICES, storage=Decimal("0.01")))
    town.clock.at = APRIL
    said = bill_paper.html_of(previewed(town, account), None, zone()).decode()
    assert '<td class="n">34.125</td><td class="n">0.01</td><td class="n">0.34</td>' in said
    assert '<td class="n">364</td><td class="n">10.00</td><td class="n">3,640.00</td>' in said
