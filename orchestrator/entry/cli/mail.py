"""`tenure mail`: whether the mail server takes what Tenure sends."""

from typing import Annotated

import typer

from orchestrator.entry.cli import output
from orchestrator.entry.cli.opening import opened
from orchestrator.entry.cli.output import USAGE, CommandError, Json

app = typer.Typer(help="Mail to holders, through the server of `mail:` in tenure.yaml.")


@app.callback()
def root() -> None:
    """What holds for all of them."""


@app.command("test", epilog="Example: tenure mail test you@example.edu.cn")
def send_test(address: Annotated[str, typer.Argument(help="Where the test goes.")], json: Json = False
              ) -> None:
    """Send a test mail, now. Exit code 1 when the server does not take it."""
    from orchestrator.flows.delivery import mail

    if "@" not in address.strip("@"):
        raise CommandError(f"{address!r} is no mail address: write name@example.edu.cn", USAGE)
    with opened() as ctx:
        if ctx.settings.mail is None:
            raise CommandError("no mail server is set up: tenure.yaml has no `mail:` (it shows one as a comment)")
        with output.progress(f"writing to {address}"):
            id, outcome = mail.send_test(ctx, address)
    if outcome.error is not None:
        raise CommandError(outcome.error, USAGE if outcome.final and not outcome.away else output.FAILED)
    output.answer(json, {"address": address, "message_id": id, "taken": True},
                  f"the mail server took the test for {address}: Message-ID {id}")
