"""Every option that takes a time or a length of time, against all that may be written there."""

import pytest

from tests.entry.cli_home import HOLDER
from tests.entry.test_cli_who_and_why import CHANGES, Ready, commands, prepared

__all__ = ["prepared"]

TIMES = {"--from", "--until", "--to", "--at", "--closes", "--begins-at", "--ending-before", "--end-by", "--paid-at"}
SPANS = {"--by", "--overlap", "--wait", "--valid-for"}
WRITTEN = ("+9999999d", "9999999d", "+999999999999999d", "-1d", "+0s", "0s", "now", "", "+", "nonsense", "0001-01-01",
           "0001-01-02", "1970-01-01T00:00:00Z", "2999-12-31T23:59:59Z", "9999-12-31", "9999-12-31T23:59:59Z",
           "9999-12-31T23:59:59-12:00", "2027-02-30", "2027-13-01T00:00:00Z")
OPTIONS = sorted((command, option) for command, one in commands().items() for option in TIMES | SPANS
                 if command != "account export" and any(option in parameter.opts for parameter in one.params))
"""An export is written `--to` a file."""
WITH = {"usage show": ("ACCOUNT",), "usage export": ("--from", "2026-01-01"),
        "account convert": ("ACCOUNT", "--contract", "C-9", "--document", "00" * 32, "--until", "+48h", "--dry-run")}
"""What commands need beside the option, where no change is described."""
INSTEAD = {("site drain", "--until"): ("rehearsal", "--plan"), ("site drain", "--end-by"): ("rehearsal", "--plan"),
           ("voucher issue", "--until"): ("--sender", "portal", "--offer", "trial"),
           ("account extend", "--to"): ("ACCOUNT", "--dry-run"), ("account extend", "--by"): ("ACCOUNT", "--dry-run"),
           ("redeem", "--wait"): ("--sender", "portal", *HOLDER, "no-such-file"), ("reap", "--at"): (),
           ("voucher import", "--until"): ("--sender", "portal", "--offer", "trial", "CODES")}


def words(ready: Ready, command: str, option: str) -> tuple[str, ...]:
    """What is said beside the option so that it counts."""
    if option == "--ending-before":
        return () if command == "account list" else ("--dry-run",)
    if (command, option) in INSTEAD or command in WITH:
        found = INSTEAD.get((command, option), WITH.get(command, ()))
        return tuple({"ACCOUNT": ready.account, "CODES": ready.codes}.get(word, word) for word in found)
    return CHANGES[command][0](ready) if command in CHANGES else ()


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_what_is_no_time_is_one_line_and_no_traceback(prepared: Ready, command: str, option: str) -> None:
    """Done, or refused in a sentence: an error that nobody expects would come out of the call."""
    beside = words(prepared, command, option)
    for written in WRITTEN:
        said = prepared.home(*command.split(), *beside, f"{option}={written}")
        assert said.code in (0, 1, 2), (written, said)
        assert said.code == 0 or said.err.strip(), written


@pytest.mark.parametrize("written", ["+9999999d", "+999999999999999d"])
def test_a_time_beyond_the_calendar_is_wrong_usage(prepared: Ready, written: str) -> None:
    """Exit code 2, and what was written."""
    said = prepared.home("account", "list", "--ending-before", written)
    assert (said.code, written.removeprefix("+") in said.err) == (2, True)
