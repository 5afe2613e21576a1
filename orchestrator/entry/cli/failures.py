"""Expected errors as one line each and the exit code that goes with it."""

import sys
from dataclasses import dataclass

import typer

from orchestrator.entry.cli import output
from orchestrator.lifecycle.errors import RuleError

_OF_USAGE = frozenset({"bad_time", "bad_month", "bad_size"})


@dataclass(frozen=True, slots=True)
class Failure:
    """What goes to stderr, and the exit code."""

    message: str
    code: int = output.FAILED
    places: bool = False
    """The message is a list of places in files, each in the form that editors read."""


def explain(error: Exception) -> Failure | None:
    """The failure that an operator is to read; None for a fault of ours, which keeps its traceback."""
    match error:
        case output.CommandError():
            return Failure(str(error), error.code)
        case typer.TyperException():
            return Failure(_usage(error), error.exit_code)
        case typer.Abort():
            return Failure("nothing was changed")
        case RuleError(code="bad_document"):
            return Failure(str(error), places=True)
        case RuleError(code="not_found"):
            return Failure(_with_list(str(error)))
        case RuleError():
            return Failure(str(error), output.USAGE if error.code in _OF_USAGE else output.FAILED)
        case OSError():
            return Failure(f"{error.filename}: {error.strerror}") if error.filename else None
        case _:
            return _of_other_rooms(error)


def _with_list(message: str) -> str:
    """A thing that is not there, with the command that lists those that are."""
    lists = {"there is no account": "tenure account list --all", "there is no site": "tenure site list"}
    listing = next((command for start, command in lists.items() if message.startswith(start)), None)
    return f"{message}: `{listing}` shows those there are" if listing and "`" not in message else message


def _usage(error: typer.TyperException) -> str:
    if not error.format_message():
        return ""  # no command was named: the help is shown already
    context = getattr(error, "ctx", None)
    hint = f" (see `{context.command_path} --help`)" if context is not None else ""
    return " ".join(error.format_message().split()).removesuffix(".") + hint


def _of_other_rooms(error: Exception) -> Failure | None:
    """Errors of rooms that were entered. One that was not even imported cannot have raised anything."""
    for module, name, hint in _EXPECTED:
        kind = getattr(sys.modules.get(module), name, None)
        if isinstance(kind, type) and isinstance(error, kind):
            remedy = hint or getattr(error, "remedy", "")
            return Failure(f"{error}" + (f"; do: {remedy}" if remedy else ""))
    return None


_EXPECTED = (
    ("orchestrator.settings", "BadSettings", ""),
    ("orchestrator.store.errors", "StoreFull", "make room on its disk, then try again"),
    ("orchestrator.store.errors", "StoreBusy", "try again; `tenure doctor` says more"),
    ("orchestrator.store.errors", "Busy", "try again in some seconds"),
    ("orchestrator.store.errors", "StoreError", ""),
    ("providers.protocol", "TryLater", "try again; `tenure site check` says more"),
    ("providers.protocol", "Stale", "somebody else has acted meanwhile: look again"),
    ("providers.protocol", "SiteError", ""),
    ("stacks.errors", "StackError", ""),
)
"""Module, class, what to do (else the error's own remedy); narrower classes first."""
