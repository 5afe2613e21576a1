"""`tenure token`: what opens the operators' API. A token is shown once and kept as a keyed hash."""

from typing import Annotated

import typer

from orchestrator.entry.cli import output
from orchestrator.entry.cli.opening import actor, opened, sender_named
from orchestrator.entry.cli.output import USAGE, CommandError, Json, Why

app = typer.Typer(help="Tokens of the operators' API.")


@app.command(epilog="Example: tenure token add --role viewer --name dashboard")
def add(name: Annotated[str, typer.Option(help="What it is for.")],
        role: Annotated[str, typer.Option(help="viewer, operator, admin or sender.")] = "viewer",
        sender: Annotated[str | None, typer.Option(help="For the role sender: whose accounts it sees.")] = None,
        why: Why = "", json: Json = False) -> None:
    """Make a token and print it, once."""
    from orchestrator.store import journal, tokens

    if (role == "sender") != (sender is not None):
        raise CommandError("--role sender and --sender NAME belong together", USAGE)
    if not name.strip():
        raise CommandError("--name is empty: say what the token is for", USAGE)
    with opened() as ctx, ctx.store.write() as tx:
        owner = sender_named(tx, sender).id if sender else None
        match role:
            case "viewer" | "operator" | "admin" | "sender":
                plain = tokens.make(tx, role, name, ctx.clock(), owner)
            case _:
                raise CommandError(f"--role is viewer, operator, admin or sender, not {role!r}", USAGE)
        made = tokens.check(tx, plain)
        assert made is not None
        journal.write(tx, "token.made", made.id, actor(), why, role=role)
    output.secret(json, {"id": made.id, "name": name, "role": role, "sender": sender, "token": plain}, plain,
                  f"token {made.id} for {role}; it is shown only now")


@app.command("list", epilog="Example: tenure token list")
def list_(json: Json = False) -> None:
    """All tokens, without what they are."""
    from orchestrator.store import senders, tokens

    with opened() as ctx, ctx.store.read() as tx:
        names = {one.id: one.name for one in senders.list_(tx)}
        found = [output.plain_fields(one) | {"sender": names.get(one.sender or "")} for one in tokens.list_(tx)]
    output.rows(json, found, ["id", "name", "role", "sender", "made_at", "revoked_at"],
                "no tokens: `tenure token add --role viewer --name NAME`")


@app.command(epilog="Example: tenure token revoke mfrggzdf")
def revoke(id: Annotated[str, typer.Argument(help="As `tenure token list` shows it.")], why: Why = "",
           json: Json = False) -> None:
    """Make a token useless at once."""
    from orchestrator.store import journal, tokens

    with opened() as ctx, ctx.store.write() as tx:
        tokens.revoke(tx, id, ctx.clock())
        journal.write(tx, "token.revoked", id, actor(), why)
    output.answer(json, {"id": id, "revoked": True}, f"token {id} opens nothing any more")
