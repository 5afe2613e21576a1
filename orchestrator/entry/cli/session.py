"""`tenure session`: browsers that are signed in."""

from typing import Annotated

import typer

from orchestrator.entry.cli import output
from orchestrator.entry.cli.opening import actor, opened
from orchestrator.entry.cli.output import Json, Why

app = typer.Typer(help="Browsers that are signed in.")


@app.command("list", epilog="Example: tenure session list")
def list_(json: Json = False) -> None:
    """Who is signed in, since when and until when. `oidc:…` was vouched for by the OpenID provider."""
    from orchestrator.store import sessions

    with opened() as ctx, ctx.store.read() as tx:
        found = [output.plain_fields(one) for one in sessions.list_(tx)]
    output.rows(json, found, ["id", "actor", "role", "made_at", "seen_at", "ends_at"], "nobody is signed in")


@app.command(epilog="Example: tenure session end mfrggzdf --why 'has left'")
def end(id: Annotated[str, typer.Argument(help="As `tenure session list` shows it.")],
        why: Why = "", json: Json = False) -> None:
    """Sign a browser out at once."""
    from orchestrator.store import journal, sessions

    with opened() as ctx, ctx.store.write() as tx:
        closed = sessions.close(tx, id)
        journal.write(tx, "session.closed", id, actor(), why)
    output.answer(json, {"id": id, "actor": closed.actor, "ended": True}, f"{closed.actor} is signed out of {id}")
