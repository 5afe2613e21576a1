"""`tenure usage` and `tenure outage`: what was used and what was not measured, as people and programs read it."""

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from orchestrator.app import App
from orchestrator.lifecycle.contract import Contract, ContractState
from orchestrator.lifecycle.usage import HOUR, Measured, hour_of
from orchestrator.store import contracts, tables, usage
from providers.memory.world import Keeper
from tests.entry.cli_home import Home, made


def now() -> datetime:
    return datetime.now(UTC)


def aged(home: Home, hours: int = 5) -> tuple[str, datetime]:
    """An account whose lease began so many whole hours ago, and that instant. Nothing was read of it."""
    id, begun = home.active(), hour_of(now()) - hours * HOUR
    with App.open(home.folder) as app, app.ctx.store.write() as tx:
        tx.execute(update(tables.accounts).values(starts_at=begun))
    return id, begun


def put(home: Home, id: str, *intervals: Measured) -> None:
    with App.open(home.folder) as app, app.ctx.store.write() as tx:
        usage.put(tx, id, intervals, now())


def burn(home: Home, id: str, core_seconds: float) -> None:
    with Keeper(home.folder.parent / "world").held() as world:
        world.tenancies[id].cpu_seconds += core_seconds


def exported(home: Home, *words: str) -> list[dict[str, str]]:
    said = home("usage", "export", *words)
    assert said.code == 0, said.err
    return list(csv.DictReader(io.StringIO(said.out)))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return made(tmp_path, duration="100h")


def test_what_was_just_burnt_is_read_and_shown(home: Home) -> None:
    """`read`, then `show`: a core-hour."""
    id = home.active()
    burn(home, id, 3600)
    assert home("usage", "read", id).out == "rehearsal: 1 account read\n"
    said = home("usage", "show", id, "--json").json
    assert sum(day["amount"] for day in said["days"] if day["meter"] == "cpu") == 3_600_000
    assert "1.000 core-h" in home("usage", "show", id).out


def test_a_day_with_a_gap_says_so(home: Home) -> None:
    """Two hours of which nothing is known."""
    id, begun = aged(home)
    put(home, id, Measured(begun + 2 * HOUR, begun + 3 * HOUR, HOUR, dict.fromkeys(
        ("cpu", "memory", "storage", "egress"), 7)))
    said = home("usage", "show", id, "--json").json
    assert sum(day["gap_seconds"] for day in said["days"] if day["meter"] == "cpu") >= 2 * 3600
    assert "GAP" in home("usage", "show", id).out


def test_the_export_has_a_line_for_each_hour_also_for_those_nobody_measured(home: Home) -> None:
    """The amount is empty there, and not zero; the unit stands in the line."""
    id, begun = aged(home)
    put(home, id, Measured(begun + HOUR, begun + 2 * HOUR, HOUR / 2, {"cpu": 0}))
    lines = [line for line in exported(home, "--from", begun.isoformat()) if line["meter"] == "cpu"]
    assert [(line["account"], line["unit"], line["amount"], line["covered_seconds"], line["gap_seconds"])
            for line in lines[:3]] == [
        (id, "core-ms", "", "0.0", "3600.0"), (id, "core-ms", "0", "1800.0", "1800.0"),
        (id, "core-ms", "", "0.0", "3600.0")]


def test_the_export_of_a_month_goes_by_civil_time(home: Home) -> None:
    """The hour from 00:00 in Shanghai is the month's first, the one before is not."""
    first = datetime(2026, 1, 31, 16, tzinfo=UTC)
    id = home.active()
    with App.open(home.folder) as app, app.ctx.store.write() as tx:
        tx.execute(update(tables.accounts).values(starts_at=first - HOUR))
    put(home, id, *(Measured(at, at + HOUR, HOUR, {"cpu": 1}) for at in (first - HOUR, first)))
    hours = [line["hour"] for line in exported(home, "--month", "2026-02") if line["amount"]]
    assert hours == ["2026-01-31T16:00:00Z"]


def test_the_export_as_json_is_one_document(home: Home) -> None:
    """With numbers, and null where nothing was measured."""
    id, begun = aged(home)
    put(home, id, Measured(begun, begun + HOUR, HOUR, {"cpu": 12}))
    said = home("usage", "export", "--from", begun.isoformat(), "--format", "json").json
    cpu = [line["amount"] for line in said if line["meter"] == "cpu"]
    assert cpu[:2] == [12, None]
    assert home("usage", "export", "--month", "2020-01", "--format", "json").json == []


def test_where_months_begin_on_half_an_hour_an_hour_is_of_one_month(home: Home) -> None:
    """Of the one that it begins in: in India, February begins at 18:30Z, so the hour from 18:00Z is January's."""
    settings = home.folder / "tenure.yaml"
    settings.write_text(settings.read_text("utf-8") + "\ntimezone: Asia/Kolkata\n", "utf-8")
    boundary = datetime(2026, 1, 31, 18, tzinfo=UTC)
    id = home.active()
    with App.open(home.folder) as app, app.ctx.store.write() as tx:
        tx.execute(update(tables.accounts).values(starts_at=boundary - HOUR))
    put(home, id, *(Measured(at, at + HOUR, HOUR, {"cpu": 1}) for at in (boundary, boundary + HOUR)))
    hours = {month: [line["hour"] for line in exported(home, "--month", month) if line["amount"]]
             for month in ("2026-01", "2026-02")}
    assert hours == {"2026-01": ["2026-01-31T18:00:00Z"], "2026-02": ["2026-01-31T19:00:00Z"]}


def bound(home: Home, id: str, contract: str, since: datetime, until: datetime) -> None:
    """A contract was in force; its number is its sender's own text."""
    with App.open(home.folder) as app, app.ctx.store.write() as tx:
        contracts.add(tx, Contract(contract, id, "trial", until, "00" * 32))
        contracts.save(tx, Contract(contract, id, "trial", until, "00" * 32, ContractState.ENDED, since, until))
        tx.execute(update(tables.accounts).values(contract=contract))


def test_an_hour_bears_the_contract_that_was_in_force_as_it_began(home: Home) -> None:
    """The voucher's hours none, nor those of grace. Text of a contract's is no formula."""
    id, begun = aged(home)
    bound(home, id, "=1+1", begun + 1.5 * HOUR, begun + 3 * HOUR)
    lines = [line for line in exported(home, "--from", begun.isoformat()) if line["meter"] == "cpu"]
    assert [line["contract"] for line in lines[:4]] == ["", "", "'=1+1", ""]


@pytest.mark.parametrize("words", [
    (), ("--month", "2026-13"), ("--month", "2026-01", "--from", "2026-01-01"),
    ("--month", "2026-01", "--until", "now"),
    ("--from", "now", "--until", "2026-01-01"), ("--from", "2026-01-01", "--format", "xls")])
def test_a_period_that_is_none_is_a_usage_error(home: Home, words: tuple[str, ...]) -> None:
    """Exit code 2, one line."""
    said = home("usage", "export", *words)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)


def test_reading_without_a_filter_is_refused(home: Home) -> None:
    """All by omission is nobody's wish; --all says it."""
    assert home("usage", "read").code == 2
    assert home("usage", "read", "--all").code == 0


def test_a_site_that_does_not_answer_is_told(home: Home) -> None:
    """Exit code 1, and what happens next."""
    id = home.active()
    with Keeper(home.folder.parent / "world").held() as world:
        world.faults.dead = True
    said = home("usage", "read", id)
    assert (said.code, "does not answer" in said.err) == (1, True)


def test_a_reading_can_be_gone_without(home: Home) -> None:
    """Journalled, with why."""
    id = home.active()
    assert home("usage", "waive", id, "--why", "its disk is lost").code == 0
    assert home("journal", "list", "--subject", id, "--json").json[0]["action"] == "usage.waived"


def outage(home: Home, *more: str) -> Any:
    begun, over = (hour_of(now()) - timedelta(minutes=minutes) for minutes in (50, 20))
    return home("outage", "add", "rehearsal", "--from", begun.isoformat(), "--until", over.isoformat(),
                "--why", "power", *more)


def test_an_outage_is_rehearsed_told_and_listed(home: Home) -> None:
    """The rehearsal keeps nothing; told, its accounts have their outcome."""
    id, _ = aged(home)
    assert outage(home, "--dry-run", "--json").json["accounts"][0]["outcome"] == "no_credit"
    assert home("outage", "list", "--json").json == []
    assert outage(home, "--yes").code == 0
    assert home("outage", "list", "--json").json[0]["accounts"] == {"no_credit": 1}
    assert [one["account"] for one in home("outage", "list", "--accounts", "--json").json] == [id]


def test_an_outage_that_concerns_too_many_is_refused(home: Home) -> None:
    """Before anything is kept."""
    aged(home)
    home.active()
    with App.open(home.folder) as app, app.ctx.store.write() as tx:
        tx.execute(update(tables.accounts).values(starts_at=now() - 3 * HOUR))
    assert outage(home, "--yes", "--max", "1").code == 1
    assert home("outage", "list", "--json").json == []
