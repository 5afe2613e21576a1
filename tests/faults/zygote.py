"""Worker processes by the dozen: imports everything once, then forks a child for each run that is asked for on stdin.

A child is a process of its own with one home folder, a site in a file, and a failpoint; it works until its goal is
reached and exits 0, or is killed. `python -m tests.faults.zygote`, one JSON object a line in and out.
"""

import json
import logging
import os
import sys
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orchestrator.app import App
from orchestrator.flows.accounts import operate
from orchestrator.flows.accounts.drain import drain
from orchestrator.flows.context import Context
from orchestrator.flows.delivery.notify import Notifier
from orchestrator.flows.delivery.resend import resend
from orchestrator.flows.effects import VARIABLE
from orchestrator.flows.endings import export, rescue
from orchestrator.flows.messages.notice import Text, notify
from orchestrator.flows.money import bill
from orchestrator.flows.usage import metering, outages
from orchestrator.flows.vouchers import booking
from orchestrator.flows.work.rounds import Rounds
from orchestrator.flows.work.sweep import Sweep
from orchestrator.lifecycle.account import State
from orchestrator.store import accounts
from orchestrator.store.accounts import Filter
from providers.protocol import Site, TryLater
from stacks.events import Change
from tests.flows.town import FakeStacks

PATIENCE = 60.0
UNHAPPY = 3


@dataclass(frozen=True)
class Order:
    """One run. `ahead` seconds are added to the machine's clock; `trouble` is what goes wrong on the way."""

    home: str
    ahead: float = 0.0
    failpoint: str = ""
    goal: str = "idle"
    trouble: str = ""
    pulumi: bool = False
    """Whether the stacks are Pulumi's own."""
    act: str = ""
    """What is done first, as a door would: `cancel ACCOUNT`, `move ACCOUNT INSTANT`, `rescue ACCOUNT KEY`,
    `export ACCOUNT`, `waive ACCOUNT`, `outage SINCE UNTIL`, `resend MESSAGE`."""


class Brittle:
    """A site whose fence fails as a whole when there is more than one account in it."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def __getattr__(self, name: str) -> Any:
        return getattr(self._site, name)

    def fence(self, batch: list[tuple[str, int]], by: Any) -> Any:
        if len(batch) > 1:
            raise OSError("channel closed")
        return self._site.fence(batch, by)


def run(order: Order) -> int:
    """Work in this process until the goal is reached."""
    if order.failpoint:
        os.environ[VARIABLE] = order.failpoint
    stacks = FakeStacks()
    app = App.open(Path(order.home), None if order.pulumi else stacks)
    ctx = replace(app.ctx, clock=lambda: datetime.now(UTC) + timedelta(seconds=order.ahead))
    _make_trouble(order.trouble, ctx, stacks)
    if order.act:
        _act(ctx, order.act)
    if order.goal == "rounds":
        return _rounds(ctx)
    if order.goal == "told":
        return _told(ctx)
    stop = threading.Event()
    with Sweep(ctx) as sweep:
        worker = threading.Thread(target=sweep.run, args=(stop,), daemon=True)
        worker.start()
        reached = _wait(ctx, order.goal)
        stop.set()
        worker.join()
        sweep.idle(PATIENCE)
    app.close()
    return 0 if reached else UNHAPPY


def _act(ctx: Context, what: str) -> None:
    match what.split():
        case ["bill", account, month]:
            bill.close(ctx, account, month, actor="test")
        case ["cancel", account]:
            booking.cancel(ctx, account, actor="test")
        case ["rescue", account, kind, key]:
            rescue.rescue(ctx, account, f"{kind} {key}")
        case ["export", account]:
            export.export(ctx, account, [], lambda piece: None, actor="test", why="tried")
        case ["notice", account]:
            notify(ctx, account, Text("维护", "maintenance"), actor="test", why="audit")
        case ["retry", account]:
            operate.retry(ctx, account, actor="test")
        case ["drain", site]:
            drain(ctx, site, True, actor="test")
        case ["move", account, at]:
            booking.move(ctx, account, datetime.fromisoformat(at), actor="test")
        case ["waive", account]:
            metering.waive(ctx, account, actor="test")
        case ["resend", message]:
            resend(ctx, [message], actor="test")
        case ["outage", since, until]:
            outages.add(ctx, outages.told(ctx, "north", datetime.fromisoformat(since), datetime.fromisoformat(until),
                                          actor="test", why="power"))


def _rounds(ctx: Context) -> int:
    """All rounds of the sites that are due."""
    rounds = Rounds(ctx)
    rounds.tick()
    return 0 if rounds.idle(PATIENCE) else UNHAPPY


def _told(ctx: Context) -> int:
    """All messages that are due, tried once."""
    notifier = Notifier(ctx)
    notifier.tick(ctx.clock())
    return 0 if notifier.idle(PATIENCE) else UNHAPPY


def _make_trouble(what: str, ctx: Context, stacks: FakeStacks) -> None:
    ids = [record.id for record in _records(ctx)]
    match what:
        case "stack":
            stacks.failing = dict.fromkeys(ids, TryLater("pulumi: timed out"))
        case "replace":
            stacks.changes = {id: [Change("storage", "replace")] for id in ids}
        case "brittle":
            connect = ctx.sites._connect
            ctx.sites._connect = lambda name: Brittle(connect(name))  # type: ignore[assignment, return-value]


def _records(ctx: Context) -> list[accounts.AccountRecord]:
    with ctx.store.read() as tx:
        return accounts.select(tx, Filter(), 100)


def _wait(ctx: Context, goal: str) -> bool:
    """Until every account is in one of the goal's states (`|` between them), or `stuck`, or nothing is due (`idle`)."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        records = _records(ctx)
        match goal:
            case "idle":
                now = ctx.clock()
                reached = not any(one.due_at is not None and one.due_at <= now for one in records) and not any(
                    one.claimed_until is not None and one.claimed_until > now for one in records)
            case "stuck":
                reached = all(one.stuck is not None and one.claimed_until is None for one in records)
            case _:
                states = {State(name) for name in goal.split("|")}
                reached = all(one.account.state in states for one in records)
        if reached:
            return True
        time.sleep(0.005)
    return False


def main() -> None:
    """Serve orders until stdin ends."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    for line in sys.stdin:
        order = Order(**json.loads(line))
        child = os.fork()
        if child == 0:
            code = 70
            try:
                code = run(order)
            finally:
                os._exit(code)
        sys.stdout.write(json.dumps({"pid": child}) + "\n")
        sys.stdout.flush()
        _, status = os.waitpid(child, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            sys.stdout.write(json.dumps({"stopped": child}) + "\n")
            sys.stdout.flush()
            sys.stdin.readline()
            os.kill(child, 18)
            _, status = os.waitpid(child, 0)
        sys.stdout.write(json.dumps({"code": os.waitstatus_to_exitcode(status)}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
