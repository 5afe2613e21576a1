"""The bodies that doors accept, field by field. Everything unknown is refused."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from orchestrator.entry.http.names import AccountId, Mail, OfferName, PersonName, PlainId, PublicKey, VoucherCode
from orchestrator.flows.vouchers.request import Redeem
from orchestrator.lifecycle.contract import OPEN_END
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.holder import Holder, HolderKind, credit_code

_INSTANT = (r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
            r"(Z|[+-][0-9]{2}:[0-9]{2})$")

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
"""With OPEN_END: outside of these, adding a grace period or a time zone leaves the calendar."""


def _instant(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("must be a string such as 2026-01-31T08:00:00Z")
    return parse_instant(value)


def parse_instant(text: str) -> datetime:
    """An RFC 3339 instant with its offset, in UTC. Raises ValueError."""
    if not re.fullmatch(_INSTANT, text, re.ASCII):
        raise ValueError("must be an instant with its offset, such as 2026-01-31T08:00:00Z")
    try:
        found = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("is not an instant that exists") from error
    if not _EARLIEST <= found <= OPEN_END:
        raise ValueError("is not between the years 1970 and 2999")
    return found


def _entity(text: str) -> str:
    try:
        return credit_code(text)
    except RuleError as error:
        raise ValueError(str(error)) from error


def _end(value: object) -> datetime:
    return OPEN_END if value == "open" else _instant(value)


def _amount(value: object) -> Decimal:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,2})?", value):
        raise ValueError("must be a string such as \"5000.00\", with at most two places")
    return Decimal(value)


Instant = Annotated[datetime, BeforeValidator(_instant, json_schema_input_type=str)]
End = Annotated[datetime, BeforeValidator(_end, json_schema_input_type=str),
                Field(description="an instant with its offset, or `open`")]
Entity = Annotated[str, StringConstraints(max_length=18), AfterValidator(_entity)]
Hours = Annotated[int, Field(ge=1, le=366 * 24, strict=True)]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Words = Annotated[tuple[Word, ...], Field(strict=False, max_length=32)]
Amount = Annotated[Decimal, BeforeValidator(_amount, json_schema_input_type=str)]
Why = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Said = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Document = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$"), Field(description="SHA-256, in hex")]


class Body(BaseModel):
    """Strict: no unknown field, no value of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class HolderIn(Body):
    """Who will hold the account."""

    id: PlainId
    name: PersonName
    kind: Annotated[HolderKind, Field(strict=False)]
    email: Mail
    entity: Entity | None = Field(default=None, description="unified social credit code (统一社会信用代码)")
    categories: Words = Field(default=(), description="what programmes sort holders by: an industry, a cluster")
    city: Word | None = None
    attestations: Words = Field(default=(), description="what the holder has declared, by the programmes' words")

    def holder(self) -> Holder:
        """The same as the flows know it."""
        return Holder(**self.model_dump())


class VoucherIn(Body):
    """What was redeemed. `hours`, `amount`, `valid_from` and `valid_until` only from a sender that is trusted with
    them."""

    voucher: VoucherCode
    holder: HolderIn
    offer: OfferName | None = None
    ssh_public_key: PublicKey | None = None
    hours: Hours | None = None
    valid_from: Instant | None = None
    valid_until: Instant | None = None
    programme: OfferName | None = None
    amount: Amount | None = Field(default=None, description="what the voucher is worth: yuan or resource-hours")
    account: AccountId | None = Field(default=None, description="whose contract's bill a cash voucher comes off")
    begins_at: Instant | None = Field(default=None, description="when the account is to begin; left out: at once")

    def told(self, event: str, body_hash: str) -> Redeem:
        """As the flow takes it."""
        return Redeem(event=event, body_hash=body_hash, voucher=self.voucher, holder=self.holder.holder(),
                      offer=self.offer, hours=self.hours, valid_from=self.valid_from, valid_until=self.valid_until,
                      ssh_public_key=self.ssh_public_key, programme=self.programme, amount=self.amount,
                      account=self.account, begins_at=self.begins_at)


class VoucherRedeemed(Body):
    """The body of `POST /v1/redemptions`."""

    type: Literal["voucher.redeemed"]
    timestamp: Instant
    data: VoucherIn


class ContractTerms(Body):
    """A contract that a holder has signed, as an operator enters it."""

    contract: PlainId
    offer: OfferName
    ends_at: End
    document: Document


class ConvertIn(ContractTerms):
    """The same with a reason, for the journal."""

    why: Why = ""


class ContractIn(ContractTerms):
    """The same with the account that it is for, as a platform sends it."""

    account: AccountId


class ContractSigned(Body):
    """The body of `POST /v1/contracts`."""

    type: Literal["contract.signed"]
    timestamp: Instant
    data: ContractIn


class ExtendIn(Body):
    """The new end: an instant, so that the same request twice extends once."""

    ends_at: Instant
    why: Why = ""


class MoveIn(Body):
    """The new beginning of a booking: an instant, so that the same request twice moves once."""

    begins_at: Instant
    why: Why = ""


class WhyIn(Body):
    """Why, for the journal: no names in it."""

    why: Why = ""


class NotifyIn(Body):
    """What the holder is told, in both languages: no names in it."""

    text_zh: Said
    text_en: Said
    why: Why = ""


class ClaimIn(Body):
    """The holder's own public key; the private one never leaves them."""

    ssh_public_key: PublicKey


class WishIn(Body):
    """For how long a contract is wished for. A form's fields are text, hence the number may be, too."""

    days: Annotated[int, Field(ge=1, le=3660, strict=False)]


class SignIn(Body):
    """The document that was shown, and that the holder agrees to it."""

    document: Document
    agreed: Literal["yes"]


def plainly(message: str) -> str:
    """What is wrong, without the validator's own name for it."""
    return message.removeprefix("Value error, ")
