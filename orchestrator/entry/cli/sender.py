"""`tenure sender`: the platforms that send signed redemptions, and the secrets that they sign with."""

import re
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from orchestrator.entry.cli import output
from orchestrator.entry.cli.opening import actor, opened, sender_named
from orchestrator.entry.cli.output import USAGE, CommandError, Json, Why

if TYPE_CHECKING:
    from orchestrator.flows.context import Context

app = typer.Typer(help="Senders: platforms that send signed redemptions.")

Name = Annotated[str, typer.Argument(help="The sender's name.")]
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@app.command(epilog="Example: tenure sender add city-portal --trusts codes --callback https://portal.example.cn/tenure")
def add(name: Name,
        trusts: Annotated[str, typer.Option(help="codes: Tenure knows the codes. payload: the platform's signed "
                                                 "payload carries offer, hours and validity.")] = "codes",
        callback: Annotated[str | None, typer.Option(help="Where signed callbacks go.")] = None,
        why: Why = "", json: Json = False) -> None:
    """Make a sender and print, once, the secret that it signs with."""
    from orchestrator.store import journal, senders

    if len(name) > 40 or not _NAME.fullmatch(name):
        raise CommandError(f"{name!r} is not a name: at most 40 small letters, digits and -", USAGE)
    _checked_callback(callback)
    with opened() as ctx, ctx.store.write() as tx:
        _warn_if_blocked(callback, ctx)
        match trusts:
            case "codes" | "payload":
                sender, secret = senders.add(tx, name, trusts, callback, ctx.clock())
            case _:
                raise CommandError(f"--trusts is codes or payload, not {trusts!r}", USAGE)
        journal.write(tx, "sender.added", sender.id, actor(), why, trusts=trusts)
    output.secret(json, {"id": sender.id, "name": name, "trusts": trusts, "callback_url": callback, "secret": secret},
                  secret, f"sender {name} ({sender.id}); the secret is shown only now")


@app.command(epilog="Example: tenure sender rotate city-portal --overlap 24h")
def rotate(name: Name, overlap: Annotated[str, typer.Option(help="How long the old secret stays valid.")] = "24h",
           why: Why = "", json: Json = False) -> None:
    """Make a new secret and print it, once; the old one goes on for the overlap."""
    from orchestrator.store import journal, senders

    with opened() as ctx, ctx.store.write() as tx:
        now = ctx.clock()
        until = output.when(f"+{overlap}", now)
        sender = sender_named(tx, name)
        secret = senders.rotate(tx, sender.id, now, until - now)
        journal.write(tx, "sender.rotated", sender.id, actor(), why, overlap_until=until)
    output.secret(json, {"id": sender.id, "name": name, "secret": secret, "previous_valid_until": until}, secret,
                  f"the secret before stays valid until {output.shown(until)}")


@app.command(epilog="Example: tenure sender callback city-portal https://portal.example.cn/tenure")
def callback(name: Name, url: Annotated[str, typer.Argument(help="Where signed callbacks go; - for nowhere.")],
             why: Why = "", json: Json = False) -> None:
    """Change where a sender's callbacks go."""
    from orchestrator.store import journal, senders

    target = None if url == "-" else url
    _checked_callback(target)
    with opened() as ctx, ctx.store.write() as tx:
        _warn_if_blocked(target, ctx)
        sender = sender_named(tx, name)
        senders.set_callback(tx, sender.id, target)
        journal.write(tx, "sender.changed", sender.id, actor(), why)
    output.answer(json, {"name": name, "callback_url": target}, f"callbacks of {name} go to {target or 'nobody'}")
    if target is not None and not json:
        output.note(f"whether they arrive there: tenure sender test {name}")


@app.command(epilog="Example: tenure sender mail city-portal off")
def mail(name: Name, wanted: Annotated[str, typer.Argument(metavar="on|off", help="Whether its holders get mail.")],
         why: Why = "", json: Json = False) -> None:
    """Whether Tenure writes to this sender's holders, or leaves that to the platform. On for a new sender."""
    from orchestrator.store import journal, senders

    if wanted not in ("on", "off"):
        raise CommandError(f"say on or off, not {wanted!r}", USAGE)
    with opened() as ctx, ctx.store.write() as tx:
        sender = sender_named(tx, name)
        senders.set_mail(tx, sender.id, wanted == "on")
        journal.write(tx, "sender.changed", sender.id, actor(), why, mails_holders=wanted == "on")
        set_up = ctx.settings.mail is not None
    output.answer(json, {"name": name, "mail": wanted == "on"},
                  f"holders of {name} {'get mail from us' if wanted == 'on' else 'get no mail from us'}")
    if wanted == "on" and not set_up:
        output.note("no mail server is set up: tenure.yaml has no `mail:`")


@app.command("test", epilog="Example: tenure sender test city-portal")
def send_test(name: Name, why: Why = "", json: Json = False) -> None:
    """Send a signed test to the sender's callback, now. Exit code 1 when it does not arrive."""
    from orchestrator.flows.delivery.notify import deliver
    from orchestrator.store import journal, outbox

    with opened() as ctx:
        with ctx.store.write() as tx:
            sender = sender_named(tx, name)
            if sender.callback_url is None:
                raise CommandError(f"sender {name} has no callback: `tenure sender callback {name} URL`")
            id = outbox.put(tx, sender.id, "sender.test", "-", {"sender": sender.id}, ctx.clock())
        with ctx.store.read() as tx:
            message = outbox.get(tx, id)
            assert message is not None
        with output.progress(f"calling {sender.callback_url}"):
            arrived = deliver(ctx, message)
        with ctx.store.write() as tx:
            after = outbox.get(tx, id)
            error = after.error if after is not None else None
            if not arrived:
                # A test is not tried again for days.
                outbox.later(tx, id, None, error or "")
            journal.write(tx, "sender.tested", sender.id, actor(), why, arrived=arrived)
    if not arrived:
        raise CommandError(f"sender {name}: the test did not arrive at {sender.callback_url}: {error}")
    output.answer(json, {"name": name, "callback_url": sender.callback_url, "message": id, "arrived": True},
                  f"{sender.callback_url} took the test {id}")


@app.command("list", epilog="Example: tenure sender list --json")
def list_(json: Json = False) -> None:
    """All senders."""
    from orchestrator.store import senders

    with opened() as ctx, ctx.store.read() as tx:
        found = [output.plain_fields(sender) for sender in senders.list_(tx)]
    output.rows(json, found, ["name", "trusts", "callback_url", "mail", "added_at", "id"],
                "no senders yet: `tenure sender add NAME`")


def _checked_callback(url: str | None) -> None:
    if url is None:
        return
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.password:
        raise CommandError(f"--callback {url!r} is not an http(s) address without a password in it", USAGE)


def _warn_if_blocked(url: str | None, ctx: "Context") -> None:
    """Of an address that is written in figures it is known at once that nothing will ever go there."""
    from orchestrator.flows.delivery.egress import blocked

    if url is not None and (address := blocked(urlsplit(url).hostname or "", ctx.settings.callbacks.allow)):
        output.note(f"callbacks never go to {address}, which is not public: add its network to `callbacks.allow` in "
                    "tenure.yaml and restart, or name another address")
