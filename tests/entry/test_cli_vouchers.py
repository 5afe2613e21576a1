"""`tenure sender`, `voucher`, `token`, `redeem`: what is told once, and never stands in argv or in the clear."""

from pathlib import Path

import pytest

from tests.entry.cli_home import HOLDER, made


def redeem(code: str) -> tuple[str, ...]:
    return ("redeem", "--sender", "portal", *HOLDER, code)


def test_a_secret_is_alone_on_stdout(tmp_path: Path) -> None:
    """So that it can go to a file; the remark beside it goes to stderr."""
    said = made(tmp_path)("sender", "add", "other", "--trusts", "payload")
    assert said.out.startswith("whsec_")
    assert len(said.out.splitlines()) == 1
    assert "shown only now" in said.err


def test_codes_are_not_in_the_database(tmp_path: Path) -> None:
    """Not the code, and not the sender's secret, in any file of the home."""
    home = made(tmp_path)
    code = home("voucher", "issue", "--offer", "trial", "--valid-for", "1d").out.strip()
    secret = home("sender", "rotate", "portal").out.strip()
    held = b"".join(file.read_bytes() for file in home.folder.iterdir() if file.is_file())
    assert code.encode() not in held
    assert secret.encode() not in held


def test_codes_made_elsewhere_come_from_stdin(tmp_path: Path) -> None:
    """Those already known are left as they are."""
    home = made(tmp_path)
    words = ("voucher", "import", "-", "--offer", "trial", "--valid-for", "1d", "--json")
    assert home(*words, stdin="ONE-1\nTWO-2\n").json["new"] == 2
    assert home(*words, stdin="# a comment\nTWO-2\n\nTHREE-3\n").json["new"] == 1


def test_a_voided_code_cannot_be_redeemed(tmp_path: Path) -> None:
    """It gets its own refusal."""
    home = made(tmp_path)
    code = home.voucher()
    assert home("voucher", "void", code, "--yes").code == 0
    said = home(*redeem(code))
    assert (said.code, said.err) == (1, "tenure: this voucher was voided\n")


def test_voiding_asks_first(tmp_path: Path) -> None:
    """Where nobody can answer, nothing happens."""
    home = made(tmp_path)
    assert home("voucher", "void", home.voucher()).code == 2
    assert [one["state"] for one in home("voucher", "list", "--json").json] == ["issued"]


def test_an_unknown_code_among_voided_ones_is_told_by_its_line(tmp_path: Path) -> None:
    """The others are voided all the same, and the exit code says that one was not."""
    home = made(tmp_path)
    said = home("voucher", "void", "-", "--yes", "--json",
                stdin=(home.folder.parent / home.voucher()).read_text() + "NO-SUCH-CODE\n")
    assert (said.code, said.json["void"], said.json["refused"][0]["line"]) == (1, 1, 2)


@pytest.mark.parametrize("validity", [["--until", "2020-01-01"], [], ["--until", "+1d", "--valid-for", "1d"],
                                      ["--from", "+2d", "--until", "+1d"]])
def test_a_validity_that_makes_no_sense_is_refused(tmp_path: Path, validity: list[str]) -> None:
    """Over before it begins, or said twice, or not at all."""
    assert made(tmp_path)("voucher", "issue", "--offer", "trial", *validity).code == 2


def test_vouchers_are_for_offers_that_exist(tmp_path: Path) -> None:
    """A misspelt offer is found when the codes are made, not when they are redeemed."""
    said = made(tmp_path)("voucher", "issue", "--offer", "trail", "--valid-for", "1d")
    assert (said.code, said.out) == (1, "")
    assert "'trail'" in said.err


def test_redeeming_twice_gives_the_same_account(tmp_path: Path) -> None:
    """By hand as at the web door: one voucher, one account."""
    home = made(tmp_path)
    code = home.voucher()
    first, second = (home(*redeem(code), "--json").json for _ in range(2))
    assert first == second


def test_a_voucher_redeemed_for_another_holder_is_said_so(tmp_path: Path) -> None:
    """In the operator's words, not in those of an event that nobody sent."""
    home = made(tmp_path)
    code = home.voucher()
    home(*redeem(code))
    said = home(*redeem(code), "--email", "other@example.edu.cn")
    assert (said.code, "redeemed by hand before" in said.err) == (1, True)


def test_waiting_in_vain_says_what_to_do(tmp_path: Path) -> None:
    """No worker runs, so the account stays as it is."""
    home = made(tmp_path)
    said = home(*redeem(home.voucher()), "--wait", "1s")
    assert (said.code, "see that a worker runs" in said.err) == (1, True)


def test_an_unknown_code_is_refused_without_repeating_it(tmp_path: Path) -> None:
    """A mistyped code may be nearly a real one."""
    said = made(tmp_path)(*redeem("-"), stdin="ABCDE-FGHJK\n")
    assert (said.code, said.err) == (1, "tenure: this voucher code is not known\n")


def test_holders_are_checked_as_at_the_web_door(tmp_path: Path) -> None:
    """A wrong credit code is refused before anything is written."""
    home = made(tmp_path)
    said = home(*redeem(home.voucher()), "--entity", "91350211M000100Y44")
    assert said.code == 2
    assert "holder.entity" in said.err


def test_a_rotated_secret_is_another_one(tmp_path: Path) -> None:
    """And the answer says until when the old one goes on."""
    home = made(tmp_path)
    first = home("sender", "rotate", "portal", "--json").json
    second = home("sender", "rotate", "portal", "--overlap", "1h", "--json").json
    assert first["secret"] != second["secret"]
    assert second["previous_valid_until"].endswith("+08:00")


def test_a_sender_without_a_callback_cannot_be_tested(tmp_path: Path) -> None:
    """The message says how to give it one."""
    said = made(tmp_path)("sender", "test", "portal")
    assert (said.code, "tenure sender callback portal" in said.err) == (1, True)


def test_a_callback_to_loopback_is_blocked_and_told(tmp_path: Path) -> None:
    """The test says why nothing arrived, and it is not tried again for days."""
    home = made(tmp_path)
    assert "callbacks.allow" in home("sender", "callback", "portal", "http://127.0.0.1:9/").err
    said = home("sender", "test", "portal")
    assert said.code == 1
    assert "127.0.0.1" in said.err


def test_a_revoked_token_stays_in_the_list(tmp_path: Path) -> None:
    """With the time, and without what it was."""
    home = made(tmp_path)
    made_ = home("token", "add", "--role", "operator", "--name", "desk", "--json").json
    assert home("token", "revoke", made_["id"]).code == 0
    said = home("token", "list", "--json")
    assert said.json[0]["revoked_at"] is not None
    assert made_["token"] not in said.out


def test_a_senders_token_names_its_sender(tmp_path: Path) -> None:
    """And no other token does."""
    home = made(tmp_path)
    assert home("token", "add", "--role", "sender", "--name", "p").code == 2
    assert home("token", "add", "--role", "viewer", "--name", " ").code == 2
    assert home("token", "add", "--role", "viewer", "--sender", "portal", "--name", "p").code == 2
    assert home("token", "add", "--role", "sender", "--sender", "portal", "--name", "p").code == 0
