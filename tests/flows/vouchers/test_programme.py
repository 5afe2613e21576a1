"""Redemptions under programmes: rules, pools, caps and sums in one transaction."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from orchestrator.flows.accounts.extend import extend
from orchestrator.flows.documents import apply as documents
from orchestrator.flows.documents.reading import Documents
from orchestrator.flows.money import contract
from orchestrator.flows.vouchers import entitlement
from orchestrator.flows.vouchers.claim import claim
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.holder import Holder, HolderKind
from orchestrator.lifecycle.periods import Period
from orchestrator.lifecycle.programme import Benefit, Limit, Programme, Where
from orchestrator.store import senders
from orchestrator.store.senders import Sender
from tests.flows.money.test_contract import drafted, priced
from tests.flows.scheme import ENTITY, FIRM, apply, at_once, balance, checked, code, example, programme, redeem
from tests.flows.town import LARGER, START, Town, public_key

HOUR = timedelta(hours=1)
OTHER = replace(FIRM, id="f-2", entity="911101085923662400")


def refused(town: Town, of: Programme, worth: str, **more: object) -> RuleError:
    with pytest.raises(RuleError) as caught:
        redeem(town, of, worth, **more)  # type: ignore[arg-type]
    assert checked(town) == []
    return caught.value


def contracted(town: Town, holder: Holder = FIRM) -> str:
    """An account with a signed contract."""
    account = priced(town, holder=holder)
    paper = drafted(town, account)
    contract.sign(town.ctx, paper.id, paper.digest or "", actor="holder")
    return account


def test_a_trial_lasts_as_long_as_its_voucher_says(town: Town) -> None:
    """36 of the programme's 24 to 96 hours, whatever the offer's own duration is."""
    of = programme("nanjing-trial")
    apply(town, of)
    account = redeem(town, of, "36").account
    town.work()
    assert town.account(account).ends_at == START + 36 * HOUR


def test_a_trial_has_its_programmes_warnings_and_grace(town: Town) -> None:
    """They take the place of the offer's own."""
    of = programme("nanjing-trial", warn_before=(HOUR,), grace=5 * HOUR)
    apply(town, of)
    offer = town.account(redeem(town, of, "24").account).offer
    assert (offer.warn_before, offer.grace) == ((HOUR,), 5 * HOUR)


def test_the_first_claim_starts_the_clock(town: Town) -> None:
    """Claimed a day after it was ready, a voucher of 24 h ends 24 h after the claim."""
    of = programme("nanjing-trial", claim_within=48 * HOUR)
    apply(town, of)
    account = redeem(town, of, "24").account
    town.work()
    assert town.account(account).ends_at == START + 72 * HOUR
    town.advance(24 * HOUR)
    key = public_key()
    claim(town.ctx, account, key)
    town.advance(HOUR)
    assert claim(town.ctx, account, key).expires == START + 48 * HOUR == town.account(account).ends_at


@pytest.mark.parametrize(("other", "holder", "rule"), [
    ({"holders": (HolderKind.INDIVIDUAL,)}, {}, "holder_kind"),
    ({"categories": ("ai",)}, {"categories": ("steel",)}, "holder_category"),
    ({"city": "nanjing", "where": Where.INSIDE}, {"city": "wuxi"}, "holder_city"),
    ({"city": "nanjing", "where": Where.OUTSIDE}, {"city": "nanjing"}, "holder_city"),
    ({"city": "nanjing", "where": Where.OUTSIDE}, {"city": None}, "holder_city"),
    ({"attestations": ("own-use",)}, {}, "attestation_missing"),
    ({}, {"entity": None}, "entity_missing"),
    ({"starts": START + HOUR}, {}, "programme_not_yet"),
    ({"ends": START}, {}, "programme_over"),
])
def test_who_does_not_fit_is_told_the_rule(town: Town, other: dict[str, object], holder: dict[str, object],
                                           rule: str) -> None:
    """Each rule by its own code; nothing is left of the attempt."""
    of = programme("nanjing-trial", **other)
    apply(town, of)
    error = refused(town, of, "24", holder=replace(FIRM, **holder))  # type: ignore[arg-type]
    assert (error.code, town.all()) == (rule, [])


def test_who_fits_every_rule_is_let_in(town: Town) -> None:
    """Kind, category, city and attestation together."""
    of = programme("nanjing-trial", holders=(HolderKind.FIRM,), categories=("ai",), city="nanjing", where=Where.INSIDE,
                   attestations=("own-use",), first_use=True)
    apply(town, of)
    assert redeem(town, of, "24", holder=replace(FIRM, categories=("ai",), city="nanjing", attestations=("own-use",)))


def test_a_first_use_is_one(town: Town) -> None:
    """The same entity under another name of its sender's is refused."""
    of = programme("nanjing-trial", first_use=True, cap=Limit(Period.EVER))
    apply(town, of)
    redeem(town, of, "24")
    assert refused(town, of, "24", holder=replace(FIRM, id="f-9")).code == "not_first_use"


def test_an_account_without_a_programme_was_a_use_too(town: Town) -> None:
    """Whoever had an account here is not new."""
    of = programme("nanjing-trial", first_use=True, cap=Limit(Period.EVER))
    apply(town, of)
    town.redeem(holder=FIRM)
    assert refused(town, of, "24").code == "not_first_use"


def test_one_voucher_a_week_for_one_entity(town: Town) -> None:
    """The second is refused until Monday; START is a Monday."""
    of = programme("nanjing-trial")
    apply(town, of)
    redeem(town, of, "24")
    town.advance(timedelta(days=6, hours=7))
    error = refused(town, of, "24")
    assert (error.code, "at most 1 voucher for one entity in 2027-W09" in str(error)) == ("cap_reached", True)
    town.advance(HOUR)
    redeem(town, of, "24")


def test_a_cash_voucher_without_a_contract_is_refused_and_says_so(town: Town) -> None:
    """Neither without an account nor with one that has no contract."""
    of = programme("wuxi-cash")
    apply(town, of)
    account = town.active(holder=FIRM)
    for named in (None, account):
        error = refused(town, of, "100.00", account=named)
        assert (error.code, "is taken off a contract's bill" in str(error)) == ("contract_needed", True)


def test_a_cash_voucher_pays_no_other_entitys_bill(town: Town) -> None:
    """Not with another credit code; another person of the same firm may, and gets no link to the account."""
    of = programme("wuxi-cash")
    apply(town, of)
    account, voucher = contracted(town), code(town, of, "5.00")
    with pytest.raises(RuleError, match="a contract's bill of the same entity, by its unified") as other:
        town.redeem(voucher, holder=OTHER, account=account)
    assert (other.value.code, ENTITY in str(other.value)) == ("not_your_contract", False)
    assert balance(town, f"credit/{account}/CNY") == balance(town, "pool/wuxi-cash/2027/CNY") == 0
    taken = town.redeem(voucher, holder=replace(FIRM, id="f-1b"), account=account)
    assert (taken.account, taken.claim_url) == (account, None)


def test_without_credit_codes_a_cash_voucher_is_the_holders_own(town: Town) -> None:
    """Somebody without a code pays no firm's bill, nor a firm theirs; who gave none at first may give one now."""
    of = programme("wuxi-cash", cap=Limit(Period.EVER))
    apply(town, of)
    alone, firm = contracted(town, replace(FIRM, id="f-3", entity=None)), contracted(town)
    assert refused(town, of, "5.00", account=firm, holder=replace(OTHER, entity=None)).code == "not_your_contract"
    assert refused(town, of, "5.00", account=alone).code == "not_your_contract"
    assert redeem(town, of, "5.00", account=alone, holder=replace(OTHER, id="f-3")).account == alone


def test_an_account_of_another_sender_is_as_one_that_is_not_there(town: Town) -> None:
    """One sentence for both, and it does not say that a contract is missing."""
    of = programme("wuxi-cash")
    apply(town, of)
    with town.store.write() as tx:
        other = senders.add(tx, "other", "codes", None, START)[0]
        entitlement.issue(tx, other.id, of, ["OTHERS-1"], Decimal("5.00"), START, START + of.valid_for)
    for account in (contracted(town), "a234567abc"):
        with pytest.raises(RuleError, match=f"sender other has no account '{account}'") as caught:
            town.redeem("OTHERS-1", sender=other, holder=FIRM, account=account)
        assert caught.value.code == "not_found"


def test_a_cash_voucher_for_a_contract_without_a_bill_is_refused_and_says_so(town: Town) -> None:
    """A platform's own contract has no price: the voucher stays good for one that has."""
    of = programme("wuxi-cash")
    apply(town, of)
    voucher, account = code(town, of, "100.00"), town.active(holder=FIRM)
    town.ask(account)
    with pytest.raises(RuleError, match="C-1 .* was signed without a price list, so there is no bill") as bare:
        town.redeem(voucher, holder=FIRM, account=account)
    assert (bare.value.code, balance(town, f"credit/{account}/CNY")) == ("no_price", Decimal(0))
    assert town.redeem(voucher, holder=FIRM, account=(other := contracted(town))).account == other


def test_a_cash_voucher_is_credited_to_its_contract(town: Town) -> None:
    """No second account is made; the answer is the contract's account."""
    of = programme("wuxi-cash")
    apply(town, of)
    account = contracted(town)
    assert redeem(town, of, "100.50", account=account).account == account
    assert (balance(town, f"credit/{account}/CNY"), len(town.all())) == (Decimal("100.50"), 1)


def test_the_last_fen_of_wuxis_50_million_is_given_and_no_more(town: Town) -> None:
    """49,999,999.99, then 0.01, then 0.01 more is refused with the pool's figure."""
    of = programme("wuxi-cash")
    apply(town, of)
    account = contracted(town)
    redeem(town, of, "49999999.99", account=account)
    redeem(town, of, "0.01", account=contracted(town, OTHER), holder=OTHER)
    error = refused(town, of, "0.01", account=account)
    assert error.code == "pool_empty"
    assert "the pool of 50,000,000.00 yuan for 2027 has 0.00 yuan left; 0.01 yuan was asked for" in str(error)


def test_wuxis_50_million_are_there_again_in_the_next_civil_year(town: Town) -> None:
    """At midnight in Shanghai, which is 16:00 UTC the day before."""
    of = programme("wuxi-cash")
    apply(town, of)
    account = contracted(town)
    redeem(town, of, "50000000.00", account=account)
    town.clock.at = datetime.fromisoformat("2027-12-31T15:59:59+00:00")
    assert refused(town, of, "0.01", account=account).code == "pool_empty"
    town.clock.at += timedelta(seconds=1)
    redeem(town, of, "50000000.00", account=account)
    assert refused(town, of, "0.01", account=account).code == "pool_empty"


def test_guizhous_100_million_of_2024_end_with_the_last_fen(town: Town) -> None:
    """100,000,000.00 in one voucher, then 0.01 more is refused; in 2025 the programme is over."""
    of = programme("guizhou-cash", starts=None, ends=None)
    apply(town, of)
    account = contracted(town)
    redeem(town, of, "100000000.00", account=account)
    assert "100,000,000.00 yuan for 2027 has 0.00 yuan left" in str(refused(town, of, "0.01", account=account))
    apply(town, programme("guizhou-cash"))
    assert refused(town, of, "0.01", account=account).code == "programme_over"


def test_guizhous_year_as_its_file_has_it(town: Town) -> None:
    """The example unchanged: 2024 by civil time (UTC+8), from its first second to its last fen in its last second."""
    [of] = [one for one in example("guizhou.yaml").programmes if one.name == "guizhou-cash"]
    apply(town, of)
    account = contracted(town)
    came = []
    for at, yuan in (("2023-12-31T15:59:59+00:00", "0.01"), ("2023-12-31T16:00:00+00:00", "99999999.99"),
                     ("2024-12-31T15:59:59+00:00", "0.01"), ("2024-12-31T15:59:59+00:00", "0.01"),
                     ("2024-12-31T16:00:00+00:00", "0.01")):
        town.clock.at = datetime.fromisoformat(at)
        try:
            redeem(town, of, yuan, account=account)
            came.append("given")
        except RuleError as refusal:
            came.append(refusal.code)
    assert came == ["programme_not_yet", "given", "given", "pool_empty", "programme_over"]
    assert (balance(town, "pool/guizhou-cash/2024/CNY"), checked(town)) == (Decimal("-100000000.00"), [])


def test_a_voucher_in_kind_ends_when_its_resource_hours_are_used_up(town: Town) -> None:
    """100 chip-hours on an offer with four chips are 25 hours."""
    town.offer = replace(town.offer, accelerators={"ascend-910b": 4})
    of = programme("guizhou-in-kind")
    apply(town, of)
    account = redeem(town, of, "100").account
    town.work()
    assert town.account(account).ends_at == START + 25 * HOUR
    assert balance(town, f"credit/{account}/ascend-910b-hours") == 100


def test_a_subsidy_makes_no_account(town: Town) -> None:
    """It is decided on payment."""
    of = programme("yangzhou-subsidy")
    apply(town, of)
    assert refused(town, of, "0").code == "no_account_made"


def test_a_voucher_of_somebody_else_is_refused(town: Town) -> None:
    """A won voucher is its winner's alone."""
    of = programme("nanjing-trial")
    apply(town, of)
    with pytest.raises(RuleError) as caught:
        town.redeem(code(town, of, "24", bound="e-somebody-else"), holder=FIRM)
    assert caught.value.code == "not_the_winner"


def test_a_voucher_given_back_is_given_back_to_pool_and_cap_too(town: Town) -> None:
    """Its account never became usable: the same voucher, in the same week, works again."""
    of = programme("nanjing-trial", pool=Limit(Period.WEEK, Decimal(24)))
    apply(town, of)
    voucher = code(town, of, "24")
    town.redeem(voucher, holder=FIRM)
    town.advance(timedelta(minutes=11))
    town.work()
    assert balance(town, "pool/nanjing-trial/2027-W09/hours") == 0
    account = town.redeem(voucher, holder=FIRM).account
    town.work()
    assert (town.account(account).ends_at, checked(town)) == (START + timedelta(minutes=11) + 24 * HOUR, [])


def test_the_same_event_again_takes_nothing_more(town: Town) -> None:
    """A repetition is answered the same, and the pool has paid once."""
    of = programme("wuxi-cash")
    apply(town, of)
    account = contracted(town)
    voucher = code(town, of, "5.00")
    answers = {town.redeem(voucher, event="e-1", holder=FIRM, account=account).account for _ in range(3)}
    assert (answers, balance(town, "pool/wuxi-cash/2027/CNY")) == ({account}, Decimal("-5.00"))


def trusted(town: Town) -> Sender:
    """A sender whose payload says what the voucher is worth."""
    with town.store.write() as tx:
        return senders.add(tx, "trusted", "payload", None, START)[0]


def test_a_trusted_payload_names_programme_and_hours(town: Town) -> None:
    """24 and 96 pass, 23 and 97 are refused, whoever says so."""
    of = programme("nanjing-trial", cap=Limit(Period.EVER))
    apply(town, of)
    sender = trusted(town)

    def says(hours: int) -> str:
        try:
            account = town.redeem(f"CODE-{hours}", sender=sender, holder=FIRM, programme=of.name, hours=hours).account
        except RuleError as refusal:
            return refusal.code
        return f"{town.account(account).offer.duration // HOUR} h"

    assert [says(hours) for hours in (23, 24, 96, 97)] == ["worth_out_of_range", "24 h", "96 h", "worth_out_of_range"]
    assert checked(town) == []


def test_a_trusted_payload_without_a_programme_is_as_before(town: Town) -> None:
    """Any hours, no sums."""
    apply(town, programme("nanjing-trial"))
    account = town.redeem("CODE-1", sender=trusted(town), offer=town.offer.name, hours=7).account
    assert (town.account(account).offer.duration, balance(town, "pool/nanjing-trial/2027-W09/hours")) == (
        7 * HOUR, Decimal(0))


def test_a_code_of_no_programme_cannot_be_given_one(town: Town) -> None:
    """A sender of codes may only repeat what the voucher says."""
    apply(town, programme("nanjing-trial"))
    with pytest.raises(RuleError) as caught:
        town.redeem(programme="nanjing-trial", holder=FIRM)
    assert caught.value.code == "programme_unknown"


@pytest.mark.parametrize(("limits", "refused"), [
    ({"pool": Limit(Period.WEEK, vouchers=40), "cap": Limit(Period.EVER)}, "pool_empty"),
    ({"cap": Limit(Period.WEEK, Decimal(960))}, "cap_reached"),
])
def test_a_thousand_redemptions_at_once_never_overdraw(town: Town, limits: dict[str, object], refused: str) -> None:
    """A pool of 40 vouchers, or an entity's cap of 40 times 24 h: 40 accounts, 960 refusals by the rule's name."""
    of = programme("nanjing-trial", **limits)
    apply(town, of)
    came = at_once(town, of, "24", 1000)
    assert (came, len(town.all()), checked(town)) == ({"given": 40, refused: 960}, 40, [])


def to_claim(town: Town, within: timedelta | None = 48 * HOUR) -> tuple[Programme, str]:
    """A voucher of 24 h whose clock the first claim starts, and its usable account."""
    of = programme("nanjing-trial", claim_within=within)
    apply(town, of)
    account = redeem(town, of, "24").account
    town.work()
    return of, account


@pytest.mark.parametrize("later", [None, HOUR, 24 * HOUR, 7 * 24 * HOUR])
def test_a_clock_runs_as_it_did_when_the_voucher_was_redeemed(town: Town, later: timedelta | None) -> None:
    """Its programme is changed to another time, or to none: 24 h from the claim, as was given."""
    of, account = to_claim(town)
    apply(town, replace(of, claim_within=later))
    town.advance(HOUR)
    assert claim(town.ctx, account, public_key()).expires == START + 25 * HOUR == town.account(account).ends_at


def test_an_account_whose_clock_runs_is_not_given_another(town: Town) -> None:
    """Its programme starts clocks at the first claim from now on: this one began when it was ready."""
    of, account = to_claim(town, None)
    apply(town, replace(of, claim_within=48 * HOUR))
    town.advance(HOUR)
    assert claim(town.ctx, account, public_key()).expires == START + 24 * HOUR


def test_what_an_operator_adds_before_the_first_claim_stays(town: Town) -> None:
    """24 h and 12 h more are 36 h from the claim."""
    _, account = to_claim(town)
    extend(town.ctx, account, by=12 * HOUR, actor="test")
    town.advance(24 * HOUR)
    key = public_key()
    assert claim(town.ctx, account, key).expires == START + 60 * HOUR
    town.advance(HOUR)
    assert claim(town.ctx, account, key).expires == START + 60 * HOUR == town.account(account).ends_at


def test_an_end_that_was_moved_before_the_first_claim_is_never_passed(town: Town) -> None:
    """Ended earlier by an operator, in 10 h: claimed after one hour or after nine, that is its end."""
    _, account = to_claim(town)
    extend(town.ctx, account, to=START + 10 * HOUR, actor="test")
    town.advance(9 * HOUR)
    assert claim(town.ctx, account, public_key()).expires == START + 10 * HOUR


GIVEN = [("nanjing-trial", {"benefit": Benefit.CASH, "offer": ""}), ("guizhou-in-kind", {"resource": "mlu"}),
         ("wuxi-cash", {"benefit": Benefit.SUBSIDY, "share": Decimal("0.3")})]


@pytest.mark.parametrize(("name", "other"), GIVEN)
def test_what_a_voucher_gives_stays(town: Town, name: str, other: dict[str, Any]) -> None:
    """Hours do not become yuan, nor hours of another chip, while one is out; of no voucher, they may."""
    of = programme(name)
    apply(town, of)
    changed = Documents((), (), (replace(of, **other),), ())
    assert [change.action for change in documents.apply(town.ctx, changed, dry_run=True)] == ["change"]
    code(town, of, "24")
    with pytest.raises(RuleError, match=f"programme {name}: vouchers or draws of it are there.*a name of its own"):
        documents.apply(town.ctx, changed, dry_run=False)
    assert [change.action for change in documents.apply(town.ctx, Documents((), (), (replace(of, grace=HOUR),), ()),
                                                        dry_run=False)] == ["change"]


def test_a_voucher_is_for_the_offer_that_it_was_issued_for(town: Town) -> None:
    """Its programme is for a larger one by now: it is still good."""
    of = programme("nanjing-trial")
    apply(town, of)
    issued = code(town, of, "24")
    apply(town, replace(of, offer=LARGER.name))
    assert town.account(town.redeem(issued, holder=FIRM).account).offer.name == town.offer.name
