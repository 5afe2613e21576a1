"""`tenure journal`, `tenure certificate`, `tenure holder`: what can be shown to others, and what can be forgotten."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.entry.cli import output
from orchestrator.entry.cli.opening import actor, home, opened, sender_named
from orchestrator.entry.cli.output import CommandError, Json, Why, Yes

if TYPE_CHECKING:
    from orchestrator.flows.context import Context
    from orchestrator.store.certificates import Certificate
    from orchestrator.store.journal import Verdict

journal = typer.Typer(help="The journal: what was decided and done, chained.")
certificate = typer.Typer(help="Clean-exit certificates (清退证明).")
holder = typer.Typer(help="Holders: the only personal data.")

Id = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")]


@journal.command(epilog="Example: tenure journal verify")
def verify(json: Json = False) -> None:
    """Compute the whole chain again, against the checkpoint outside the database. Exit code 1 when it does not hold."""
    from orchestrator.store import journal as store

    with opened() as ctx, output.progress("verifying the journal"):
        checkpoint = ctx.settings.checkpoint(home())
        verdict = store.verify(ctx.store, checkpoint)
    output.answer(json, output.plain_fields(verdict) | {"ok": verdict.ok, "checkpoint": str(checkpoint)},
                  f"{verdict.sealed} rows sealed, {verdict.unsealed} newer than the last seal: {_told(verdict)}")
    if verdict.missing:
        output.note(f"tenure: there is no {checkpoint}; do: put its copy back, then verify again")
    for problem in verdict.problems:
        output.note(f"tenure: {problem}")
    if not verdict.ok:
        raise typer.Exit(output.FAILED)


def _told(verdict: "Verdict") -> str:
    if verdict.problems:
        return "NOT as they were sealed"
    if verdict.missing:
        return "they agree with each other, and cannot be compared: the checkpoint FILE is missing"
    return "as they were sealed"


@journal.command(epilog="Example: tenure journal seal")
def seal(json: Json = False) -> None:
    """Chain what is new and note the last link in the checkpoint. A server does it by itself."""
    from orchestrator.store import journal as store

    sealed = 0
    with opened() as ctx, output.progress("sealing the journal"):
        while some := store.seal(ctx.store, ctx.settings.checkpoint(home())):
            sealed += some
    output.answer(json, {"sealed": sealed}, f"{sealed} rows sealed")


@journal.command("list", epilog="Example: tenure journal list --subject a2k4mzq7xw")
def list_(subject: Annotated[str | None, typer.Option(help="Of this account, site, sender … only.")] = None,
          limit: Annotated[int, typer.Option(min=1)] = 100, json: Json = False) -> None:
    """The newest rows, newest first."""
    from orchestrator.store import journal as store
    from orchestrator.store import senders

    with opened() as ctx, ctx.store.read() as tx:
        sender = senders.get(tx, subject) if subject else None
        found = [output.plain_fields(one)
                 for one in store.list_(tx, subject=sender.id if sender else subject, limit=limit)]
    output.rows(json, found, ["at", "action", "subject", "actor", "why", "facts"],
                f"the journal says nothing of {subject!r}" if subject else "the journal is empty")


@certificate.command("verify", epilog="Example: tenure certificate verify a2k4mzq7xw")
def verify_certificate(id: Id, json: Json = False) -> None:
    """Whether the account's certificate is signed with Tenure's key over exactly its bytes."""
    from orchestrator.flows.endings.certificate import public_key, verifies

    with opened() as ctx:
        known = _certificate(ctx, id)
        sound = verifies(known.document, known.signature, public_key(ctx.store))
    output.answer(json, {"account": id, "ok": sound, "at": known.at},
                  f"certificate of {id}: the signature {'is right' if sound else 'is WRONG'}")
    if not sound:
        raise typer.Exit(output.FAILED)


@certificate.command(epilog="Example: tenure certificate show a2k4mzq7xw --out proof/")
def show(id: Id, out: Annotated[Path | None, typer.Option(
        help="A folder for certificate.json, certificate.sig and key.pem, for openssl.")] = None,
         json: Json = False) -> None:
    """Print the certificate, exactly as it was signed."""
    import base64

    from orchestrator.flows.endings.certificate import public_key

    with opened() as ctx:
        known = _certificate(ctx, id)
        pem = public_key(ctx.store)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        files = {"certificate.json": known.document, "certificate.sig": known.signature, "key.pem": pem}
        for name, held in files.items():
            (out / name).write_bytes(held)
        output.note(f"to verify: cd {out} && openssl pkeyutl -verify -rawin -pubin -inkey key.pem "
                    "-sigfile certificate.sig -in certificate.json")
    if json:
        output.document({"account": id, "at": known.at, "document": known.document.decode(),
                         "signature": base64.b64encode(known.signature).decode(), "public_key": pem.decode()})
    elif out is None:
        output.say(known.document.decode().rstrip("\n"))


def _certificate(ctx: "Context", id: str) -> "Certificate":
    from orchestrator.store import accounts, certificates

    with ctx.store.read() as tx:
        known = certificates.get(tx, id)
        account = accounts.get(tx, id)
    if known is not None:
        return known
    if account is None:
        raise CommandError(f"there is no account {id!r}: `tenure account list --all` shows those there are")
    if account.state.value == "RECLAIMED":
        raise CommandError(f"account {id}: its booking was cancelled before any site knew of it; nothing was there to "
                           "certify")
    raise CommandError(f"account {id} is {account.state}: it has no certificate before it is RECLAIMED")


@holder.command(epilog="Example: tenure holder erase city-portal researcher-17 --yes")
def erase(sender: Annotated[str, typer.Argument(help="The sender's name.")],
          id: Annotated[str, typer.Argument(metavar="HOLDER", help="The sender's own id of the holder.")],
          why: Why = "", yes: Yes = False, json: Json = False) -> None:
    """Forget a holder's personal data for ever. Accounts and the journal keep a reference that says nothing."""
    from orchestrator.store import holders
    from orchestrator.store import journal as store

    with opened() as ctx:
        output.confirm(f"Forget everything about holder {id} of {sender}?", yes)
        with ctx.store.write() as tx:
            ref = holders.erase(tx, sender_named(tx, sender).id, id, ctx.clock())
            store.write(tx, "holder.erased", ref, actor(), why)
    output.answer(json, {"holder": ref, "erased": True}, f"{ref} is erased")
