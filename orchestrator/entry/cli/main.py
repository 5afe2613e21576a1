"""`tenure`: every command in one tree, and the one place where an error becomes a line and an exit code."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.entry.cli import (
    account,
    bill,
    booking,
    contract,
    doctor,
    draw,
    failures,
    mail,
    opening,
    outage,
    outbox,
    output,
    programme,
    proof,
    reap,
    redeem,
    sender,
    serve,
    session,
    setup,
    site,
    stack,
    subsidy,
    token,
    top,
    usage,
    voucher,
)

app = typer.Typer(
    name="tenure", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Time-boxed compute accounts from vouchers: made at a site, ended there, taken back with proof.",
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 something is stuck. Times are written with an offset or as "
           "Asia/Shanghai civil time.",
)
for part in (setup, redeem, reap, serve, doctor, top):
    part.add_to(app)
for name, noun in (("site", site), ("sender", sender), ("voucher", voucher), ("account", account), ("stack", stack),
                   ("token", token), ("session", session), ("journal", proof.journal),
                   ("certificate", proof.certificate),
                   ("holder", proof.holder), ("programme", programme), ("booking", booking), ("draw", draw),
                   ("contract", contract), ("bill", bill), ("subsidy", subsidy), ("outbox", outbox),
                   ("mail", mail),
                   ("usage", usage), ("outage", outage)):
    app.add_typer(noun if isinstance(noun, typer.Typer) else noun.app, name=name, no_args_is_help=True)


def _tell_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError
        from importlib.metadata import version as installed

        try:
            output.say(f"tenure {installed('tenure')}")
        except PackageNotFoundError:
            output.say("tenure, run from a checkout that is not installed")
        raise typer.Exit


@app.callback()
def root(
    home: Annotated[Path | None, typer.Option(
        "--home", envvar="TENURE_HOME", help="The folder with tenure.yaml, the database and the keyring.")] = None,
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_tell_version,
                                          help="Say which Tenure this is.")] = False,
) -> None:
    """What holds for every command."""
    opening.use(home)


def main(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code."""
    try:
        result = app(list(arguments), prog_name="tenure", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has enough of it; a second failure at exit would only add noise.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return output.FAILED
    except KeyboardInterrupt:
        output.note("tenure: interrupted")
        return 130
    except Exception as error:
        failure = failures.explain(error)
        if failure is None:
            raise
        if failure.message:
            output.note(failure.message if failure.places else f"tenure: {' '.join(failure.message.split())}")
        return failure.code
    return result if isinstance(result, int) else output.DONE


def run() -> None:
    """The installed command."""
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
