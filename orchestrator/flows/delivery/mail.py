"""A mail: one message to a holder, in Chinese and English. Whom it goes to is looked up when it is sent."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import yaml

from orchestrator.flows.context import Context
from orchestrator.flows.delivery.outcome import Outcome
from orchestrator.flows.delivery.smtp import MailError, NeverTaken, ServerAway, Session
from orchestrator.flows.effects import effect
from orchestrator.flows.money.contract import signing_url
from orchestrator.flows.vouchers.claim import claim_url
from orchestrator.lifecycle import times
from orchestrator.lifecycle.contract import OPEN_END
from orchestrator.settings import Mail
from orchestrator.store import accounts, certificates, holders, outbox, papers, senders
from orchestrator.store.certificates import Certificate
from orchestrator.store.outbox import Message

FOLDER = Path(__file__).resolve().parents[3] / "templates" / "mail"
LANGUAGES = ("zh", "en")
TEST = "mail.test"


@dataclass(frozen=True, slots=True)
class Addressee:
    """Personal data: it is in nothing but the mail itself."""

    name: str
    address: str


def send(ctx: Context, session: Session, message: Message) -> Outcome:
    """Send it. A holder who was erased, or whose sender wants no mail from us, gets none, and that is said."""
    with ctx.store.read() as tx:
        record = accounts.record(tx, message.account)
        holder = holders.get(tx, record.holder)
        wanted = senders.wants_mail(tx, message.sender)
        reclaimed = message.type == "account.reclaimed"
        certificate = certificates.get(tx, message.account) if reclaimed else None
        paper = papers.get(tx, message.data["contract"]) if message.data.get("contract") else None
    if holder is None:
        return Outcome("the holder was erased: nobody is written to", final=True)
    if not wanted:
        return Outcome("the sender wants no mail from us to its holders", final=True)
    signing = signing_url(ctx, paper.id) if paper is not None and paper.account == message.account else None
    links = {"claim_url": claim_url(ctx, message.account), "signing_url": signing}
    return hand_over(ctx, session, message, Addressee(holder.name, holder.email), links, certificate)


def send_test(ctx: Context, address: str) -> tuple[str, Outcome]:
    """One mail to this address, now and only now. Answers its Message-ID; there have to be settings."""
    mail, now = ctx.settings.mail, ctx.clock()
    assert mail is not None
    id = f"test_{secrets.token_hex(8)}"
    message = Message(id, outbox.MAIL, "-", TEST, "-", {}, now, now, 0, None, None, None)
    with Session(mail, ctx.home) as session:
        return f"<{id}@{mail.domain}>", hand_over(ctx, session, message, Addressee("Tenure", address), {})


def hand_over(ctx: Context, session: Session, message: Message, to: Addressee, links: Mapping[str, str | None],
              certificate: Certificate | None = None) -> Outcome:
    """Write it and give it to the server."""
    mail = ctx.settings.mail
    assert mail is not None
    try:
        written = compose(mail, message, to, links, ctx.settings.timezone, certificate)
    except ValueError as unwritable:
        # Its words may hold the address.
        return Outcome(f"this cannot be written as a mail ({type(unwritable).__name__})", final=True)
    try:
        effect("mail.send", session.send, written, to.address)
    except MailError as failed:
        return Outcome(str(failed), final=isinstance(failed, NeverTaken), away=isinstance(failed, ServerAway))
    return Outcome()


def compose(mail: Mail, message: Message, to: Addressee, links: Mapping[str, str | None], timezone: str,
            certificate: Certificate | None = None) -> EmailMessage:
    """The mail: the same at every try, its Message-ID above all, so that a repetition is known for one. ValueError."""
    values = {"account": message.account, **message.data, **links, "name": to.name, "timezone": timezone}
    parts = {language: _rendered(message.type, language, values) for language in LANGUAGES}
    made = EmailMessage(policy.SMTP)
    made["From"] = Address(mail.sender_name, addr_spec=mail.sender)
    made["To"] = Address(_header(to.name), addr_spec=to.address)
    made["Subject"] = " / ".join(subject for subject, _ in parts.values())
    made["Date"] = format_datetime(message.since)
    made["Message-ID"] = f"<{message.id}@{mail.domain}>"
    made["References"] = f"<{message.account}.account@{mail.domain}>"
    if mail.reply_to is not None:
        made["Reply-To"] = Address(addr_spec=mail.reply_to)
    made["Auto-Submitted"] = "auto-generated"
    made["X-Auto-Response-Suppress"] = "All"
    made["List-Id"] = f"<tenure.{mail.domain}>"
    made["Tenure-Event"], made["Tenure-Account"] = message.type, message.account
    made.set_content("\n\n———\n\n".join(body for _, body in parts.values()) + "\n", cte="base64")
    made.add_alternative(_page(parts), subtype="html", cte="base64")
    if certificate is not None:
        made.add_attachment(certificate.document, "application", "json", cte="base64",
                            filename=f"{message.account}.certificate.json")
        made.add_attachment(certificate.signature, "application", "octet-stream", cte="base64",
                            filename=f"{message.account}.certificate.sig")
    for number, part in enumerate(part for part in made.walk() if part.is_multipart()):
        part.set_boundary(f"=_{message.id}_{number}")
    return made


def _header(name: str) -> str:
    """A name that could end its header and begin another is left out."""
    return name if name.isprintable() else ""


@cache
def texts() -> dict[str, dict[str, dict[str, str]]]:
    """Subject and body of each mail in each language, as templates."""
    found: dict[str, dict[str, dict[str, str]]] = yaml.safe_load((FOLDER / "texts.yaml").read_text("utf-8"))
    return found


@cache
def _plain() -> jinja2.Environment:
    # Plain text: what is HTML is made from it, and escaped there.
    made = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True)
    made.filters["time"] = _time
    made.tests["open_end"] = lambda instant: datetime.fromisoformat(instant) >= OPEN_END
    return made


@jinja2.pass_context
def _time(context: jinja2.runtime.Context, instant: str) -> str:
    """An instant of the message's data as its reader has it."""
    at = datetime.fromisoformat(instant)
    return f"{at.astimezone(times.zone(context['timezone'])):%Y-%m-%d %H:%M} ({context['timezone']})"


def _rendered(type: str, language: str, values: Mapping[str, Any]) -> tuple[str, str]:
    """Subject and body."""
    text = texts()[type][language]
    frame = texts()["frame"][language]["body"]
    body = _text(text["body"]).render(values)
    return _text(text["subject"]).render(values), _text(frame).render({**values, "body": body.strip()}).strip()


@cache
def _text(written: str) -> jinja2.Template:
    return _plain().from_string(written)


@cache
def _frame() -> jinja2.Template:
    pages = jinja2.Environment(loader=jinja2.FileSystemLoader(FOLDER), undefined=jinja2.StrictUndefined,
                               autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return pages.get_template("mail.html.j2")


def _page(parts: Mapping[str, tuple[str, str]]) -> str:
    """The same as simple HTML: paragraphs, and lines that are links."""
    return _frame().render(
        subject=parts["en"][0], parts={language: body.split("\n\n") for language, (_, body) in parts.items()})
