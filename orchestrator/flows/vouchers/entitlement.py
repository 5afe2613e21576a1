"""A redemption under a programme: the rules, the pool, the caps and the sums, all in the redemption's transaction.

Ledger accounts: `pool/<programme>/<period>` has what was given, negative; `entity/<programme>/<period>/<entity>` what
one entity got; `uses/<entity>` how often it redeemed; `credit/<account>` what is still to come off a bill or to use.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from orchestrator.flows.accounts import placement
from orchestrator.flows.context import Context
from orchestrator.flows.vouchers.request import Redeem
from orchestrator.lifecycle import booking, periods, times
from orchestrator.lifecycle import programme as rules
from orchestrator.lifecycle.account import Account, State
from orchestrator.lifecycle.contract import ContractState
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.holder import Holder
from orchestrator.lifecycle.offer import Offer
from orchestrator.lifecycle.programme import Benefit, Limit, Programme
from orchestrator.store import accounts, contracts, holders, journal, ledger, papers, programmes, redemptions, vouchers
from orchestrator.store.accounts import AccountRecord
from orchestrator.store.engine import Tx
from orchestrator.store.ledger import Line, Overdrawn
from orchestrator.store.programmes import Grant
from orchestrator.store.senders import Sender

ONE = Decimal(1)
VOUCHERS = "vouchers"


@dataclass(frozen=True, slots=True)
class Under:
    """A voucher that is redeemed now, and its programme. `billed` is the account whose contract's bill a cash voucher
    comes off; None: an account is to be made."""

    programme: Programme
    grant: Grant
    billed: str | None = None


def find(tx: Tx, sender: Sender, request: Redeem, digest: str) -> Under | None:
    """The programme of the voucher, or None for one of no programme. A trusted sender's payload may name it.

    RuleError: programme_unknown, programme_differs, worth_out_of_range, no_account_made, contract_needed, not_found,
    not_your_contract, no_price.
    """
    grant = programmes.granted(tx, digest)
    if grant is None and (request.programme is None or sender.trusts != "payload"):
        if request.programme is not None:
            raise RuleError("programme_unknown", f"this voucher is not of programme {request.programme!r}")
        return None
    programme = named(tx, grant.programme if grant is not None else request.programme or "")
    if request.programme not in (None, programme.name):
        raise RuleError("programme_differs", f"this voucher is of programme {programme.name}, not of "
                                             f"{request.programme}")
    if programme.benefit is Benefit.SUBSIDY:
        raise RuleError("no_account_made", f"programme {programme.name} pays a share of what was paid: no account is "
                                           "made for it; an operator decides it on the payment")
    if grant is None:
        said = request.amount if request.amount is not None else _hours(request)
        grant = Grant(digest, programme.name, rules.worth(programme, said))
        programmes.grant(tx, grant)
    billed = _billed(tx, sender, request, programme, grant) if programme.benefit is Benefit.CASH else None
    return Under(programme, grant, billed)


def named(tx: Tx, name: str) -> Programme:
    """The programme as it stands now. RuleError `programme_unknown`."""
    found = programmes.get(tx, name)
    if found is None:
        raise RuleError("programme_unknown", f"there is no programme {name!r}")
    return found


def _hours(request: Redeem) -> Decimal | None:
    return None if request.hours is None else Decimal(request.hours)


def _billed(tx: Tx, sender: Sender, request: Redeem, programme: Programme, grant: Grant) -> str:
    rule = (f"programme {programme.name}: a cash voucher of {programme.show(grant.worth)} is taken off a contract's "
            "bill")
    if request.account is None:
        raise RuleError("contract_needed", f"{rule}; name an account that has a signed contract")
    record = accounts.find(tx, request.account)
    if record is None or record.sender != sender.id:
        # One answer for both: whether another sender has such an account is nobody else's business.
        raise RuleError("not_found", f"{rule}, and sender {sender.name} has no account {request.account!r}")
    if not _same_party(tx, record, sender, request.holder):
        raise RuleError("not_your_contract", f"{rule} of the same entity, by its unified social credit code, or of the "
                                             f"same holder where one has none; account {record.id} is of another")
    account = record.account
    if not _contracted(tx, account):
        raise RuleError("contract_needed", f"{rule}; account {account.id} has no signed contract")
    paper = papers.get(tx, account.contract or "")
    if paper is None or not paper.terms:
        raise RuleError("no_price", f"programme {programme.name}: contract {account.contract} of account {account.id} "
                        "was signed without a price list, so there is no bill that a cash voucher could come off; "
                        "contracts drafted with `tenure contract draft` have one")
    return account.id


def _same_party(tx: Tx, record: AccountRecord, sender: Sender, holder: Holder) -> bool:
    known = holders.get(tx, record.holder)
    if known is not None and known.entity is not None and holder.entity is not None:
        return known.entity == holder.entity
    return record.holder == holders.ref(tx, sender.id, holder.id)


def _contracted(tx: Tx, account: Account) -> bool:
    known = contracts.get(tx, account.id, account.contract) if account.contract else None
    return (known is not None and known.state is not ContractState.REFUSED and account.state is not State.RECLAIMED)


def offer_of(tx: Tx, under: Under, offer: str) -> Offer:
    """What an account of this voucher, for this offer, gets, for how long."""
    return rules.offer_under(under.programme, placement.offer_named(tx, offer), under.grant.worth)


def take(ctx: Context, tx: Tx, under: Under, sender: Sender, holder: Holder, ref: str, account: str,
         now: datetime, entry: str) -> None:
    """Hold it: check every rule, and take from the pool. RuleError that names the rule and its figure; whoever gets
    it gives the whole transaction up."""
    programme, grant = under.programme, under.grant
    rules.eligible(programme, holder, now)
    entity = entity_of(tx, holder, ref)
    if grant.bound is not None and grant.bound != entity:
        raise RuleError("not_the_winner", f"programme {programme.name}: this voucher was won by somebody else")
    lines = [*limits(ctx, programme, entity, grant.worth, now), *_uses(tx, programme, entity, ref)]
    if programme.benefit in (Benefit.CASH, Benefit.IN_KIND):
        lines += [Line(f"given/{programme.name}", programme.unit, -grant.worth),
                  Line(f"credit/{account}/{programme.unit}", programme.unit, grant.worth)]
    post(tx, programme, entry, lines, now, "redeemed")
    programmes.used(tx, grant.digest, entity=entity, account=account, entry=entry,
                    priority=programme.has_priority(holder), claim_within=programme.claim_within,
                    use_within=programme.use_within)
    journal.write(tx, "programme.granted", account, f"sender:{sender.id}", programme=programme.name,
                  voucher=grant.digest[:16], entity=entity, worth=str(grant.worth), unit=programme.unit, ledger=entry)


def post(tx: Tx, programme: Programme, entry: str, lines: list[Line], now: datetime, why: str) -> bool:
    """Write the sums. A bound that they would break becomes a refusal with its figures."""
    try:
        return ledger.post(tx, entry, lines, now, f"{programme.name}: {why}")
    except Overdrawn as over:
        raise _refusal(programme, over) from over


def entity_of(tx: Tx, holder: Holder, ref: str) -> str:
    """What stands for the entity in sums: a keyed hash of its code; of the holder where it has none."""
    return ref if holder.entity is None else holders.entity_ref(tx, holder.entity)


def limits(ctx: Context, programme: Programme, entity: str, amount: Decimal, now: datetime) -> list[Line]:
    """The lines that the pool and the caps bound: the amount, and one voucher."""
    where = times.zone(ctx.settings.timezone)
    pool = f"pool/{programme.name}/{periods.named(programme.pool.per, now, where)}"
    cap = f"entity/{programme.name}/{periods.named(programme.cap.per, now, where)}/{entity}"
    found = []
    for unit, moved, of_pool, of_cap in (
            (programme.unit, amount, programme.pool.amount, programme.cap.amount),
            (VOUCHERS, ONE, _count(programme.pool), _count(programme.cap))):
        found += [Line(f"{pool}/{unit}", unit, -moved, least=None if of_pool is None else -of_pool),
                  Line(f"{cap}/{unit}", unit, moved, most=of_cap)]
    return found


def _count(limit: Limit) -> Decimal | None:
    return None if limit.vouchers is None else Decimal(limit.vouchers)


def _uses(tx: Tx, programme: Programme, entity: str, ref: str) -> list[Line]:
    if programme.first_use and accounts.held_before(tx, ref):
        raise _not_first(programme)
    return [Line(f"uses/all/{programme.name}", VOUCHERS, -ONE),
            Line(f"uses/{entity}", VOUCHERS, ONE, most=ONE if programme.first_use else None)]


def _not_first(programme: Programme) -> RuleError:
    return RuleError("not_first_use", f"programme {programme.name}: only for a first use; this holder has used "
                                      "computing power here before")


def _vouchers(count: Decimal) -> str:
    return f"{count.normalize():f} voucher{'' if count == 1 else 's'}"


def _refusal(programme: Programme, over: Overdrawn) -> RuleError:
    line, name = over.line, f"programme {programme.name}"
    kind, _, rest = line.account.partition("/")
    period = rest.split("/")[1] if "/" in rest else ""
    show = _vouchers if line.unit == VOUCHERS else programme.show
    if kind == "uses":
        return _not_first(programme)
    if kind == "pool":
        assert line.least is not None
        return RuleError("pool_empty", f"{name}: the pool of {show(-line.least)} for {period} has "
                                       f"{show(max(Decimal(0), over.balance - line.least))} left; {show(-line.amount)} "
                                       "was asked for")
    assert line.most is not None
    return RuleError("cap_reached", f"{name}: at most {show(line.most)} for one entity in {period}; it has "
                                    f"{show(over.balance)}, and {show(line.amount)} was asked for")


def give_back(tx: Tx, account: str, now: datetime) -> None:
    """The account never became usable: pool and caps are as if its voucher had not been redeemed."""
    for grant in programmes.granted_to(tx, account):
        if grant.entry is not None:
            ledger.reverse(tx, grant.entry, now, f"{grant.programme}: given back")
            programmes.used(tx, grant.digest, entity=None, account=None, entry=None, priority=False)


def restore(tx: Tx, account: str, now: datetime) -> None:
    """It never became usable and nothing of it is left: now, and not before, the voucher may be redeemed again."""
    redeemed = redemptions.by_account(tx, account)
    if redeemed is not None and redeemed.voucher is not None:
        vouchers.restore(tx, redeemed.voucher)
        give_back(tx, account, now)


def beginning(programme: Programme, wish: datetime | None, now: datetime) -> datetime | None:
    """When an account of the programme begins that is redeemed now; None: at once.

    RuleError: bad_begin, begin_missing, begin_fixed.
    """
    name = f"programme {programme.name}"
    if programme.begins_at is not None:
        if wish not in (None, programme.begins_at):
            raise RuleError("begin_fixed", f"{name}: all accounts begin at {programme.begins_at.isoformat()}")
        # Who redeems later joins those who are there.
        return programme.begins_at if now < programme.begins_at else None
    if wish is None and programme.scheduled:
        raise RuleError("begin_missing", f"{name}: accounts begin at a time of the holder's choice; say when "
                                         "(begins_at)")
    return None if wish is None else booking.checked(wish, now, programme.book_ahead)


def movable(tx: Tx, account: str, begins_at: datetime, now: datetime) -> timedelta:
    """How far ahead the account may begin. RuleError (bad_begin, begin_fixed) when its programme does not let it begin
    then."""
    found = [named(tx, grant.programme) for grant in programmes.granted_to(tx, account)]
    for programme in found:
        beginning(programme, begins_at, now)
    if not found:
        booking.checked(begins_at, now)
    return min((programme.ahead for programme in found), default=booking.MOST_AHEAD)


def clock_to_start(tx: Tx, account: str) -> Grant | None:
    """The account's grant whose clock the first claim starts; None when nothing is to start."""
    return next((grant for grant in programmes.granted_to(tx, account)
                 if grant.claim_within is not None and grant.clock_started_at is None), None)


def issue(tx: Tx, sender: str, programme: Programme, codes: list[str], worth: Decimal, valid_from: datetime,
          valid_until: datetime, bound: str | None = None) -> int:
    """Vouchers of a programme; answers how many are new. A code that is known stays what it is."""
    fresh = 0
    for code in codes:
        if vouchers.import_(tx, sender, programme.offer, [code], valid_from, valid_until):
            digest = vouchers.digest_here(tx, sender, code)
            programmes.grant(tx, Grant(digest, programme.name, worth, bound))
            fresh += 1
    return fresh
