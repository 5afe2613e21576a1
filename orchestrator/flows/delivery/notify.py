"""The outbox's deliverer: callbacks to senders and mail to holders, tried with growing pauses for days."""

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.flows.context import Context
from orchestrator.flows.delivery import mail, webhook
from orchestrator.flows.delivery.outcome import SHORTEST_PAUSE, Outcome, settle
from orchestrator.flows.delivery.smtp import Session
from orchestrator.flows.effects import commit
from orchestrator.flows.lanes import Lanes
from orchestrator.flows.messages import reminders
from orchestrator.store import outbox
from orchestrator.store.engine import Tx
from orchestrator.store.errors import Conflict, StoreError
from orchestrator.store.outbox import Channel, Message

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
PER_LANE = 20
AT_ONCE = 100
MOST_WAITING = 4 * PER_LANE
"""Of one sender's callbacks, in this process; of mail, one round. More would outlive its claim before it is tried."""
POSTERS, CONNECTIONS = 4, 2


@dataclass(frozen=True, slots=True)
class Lane:
    """One sender's callbacks, or the mail to its holders: what is slow holds up only itself."""

    channel: Channel
    sender: str


class Notifier:
    """Delivers what is in the outbox; a sender or a mail server that does not answer holds up only itself."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._lanes: Lanes[Lane, Message] = Lanes(
            self._deliver, lambda lane, messages: self._wait(messages), most=PER_LANE)

    def run(self, stop: threading.Event, poll: timedelta = timedelta(milliseconds=200)) -> None:
        """Until told to stop."""
        while not stop.is_set():
            try:
                self.tick(self._ctx.clock())
            except StoreError as error:
                log.warning("messages wait, the database does not answer: %s", error)
            stop.wait(poll.total_seconds())

    def tick(self, now: datetime, most: int = AT_ONCE) -> int:
        """Hand out what is due; answers how many messages that were."""
        with self._ctx.store.read() as tx:
            wake = outbox.next_wake(tx)
            if wake is None or wake > now:
                return 0
            ids = outbox.due(tx, now, min(most, AT_ONCE), PER_LANE, self._full())
        if not ids:
            return 0
        messages = commit("notify.claim", self._ctx.store, lambda tx: outbox.claim(
            tx, ids, now, self._ctx.worker, LEASE))
        grouped: dict[Lane, list[Message]] = {}
        for message in messages:
            grouped.setdefault(Lane(message.channel, message.sender), []).append(message)
        for lane, some in grouped.items():
            self._lanes.put(lane, some)
        return len(messages)

    def _full(self) -> list[tuple[Channel, str]]:
        """Lanes that have no room for as many as are claimed at once."""
        return [(lane.channel, lane.sender) for lane, waiting in self._lanes.queued().items()
                if waiting + PER_LANE > (PER_LANE if lane.channel == outbox.MAIL else MOST_WAITING)]

    def idle(self, timeout: float | None = None) -> bool:
        """Wait until everything that was taken up is answered."""
        return self._lanes.idle(timeout)

    def _deliver(self, lane: Lane, messages: Sequence[Message]) -> bool:
        """True when the other side is away: then what waits for it need not be tried now."""
        if lane.channel == outbox.MAIL:
            slices = [messages[start::CONNECTIONS] for start in range(min(CONNECTIONS, len(messages)))]
            with ThreadPoolExecutor(len(slices), f"mail-{lane.sender}") as pool:
                return all(list(pool.map(self._mail, slices)))
        with ThreadPoolExecutor(min(POSTERS, len(messages)), f"notify-{lane.sender}") as pool:
            came = [done for done in pool.map(self._post, messages) if done is not None]
        return bool(came) and not any(came)

    def _post(self, message: Message) -> bool | None:
        """Whether it is done with; None when it was given back untried."""
        if self._stale(message):
            self._wait([message])
            return None
        return deliver(self._ctx, message)

    def _mail(self, messages: Sequence[Message]) -> bool:
        """These over one connection. True when the server is away; those not tried are given back."""
        settings = self._ctx.settings.mail
        if settings is None:
            for message in messages:
                _try(self._ctx, message, None)
            return False
        with Session(settings, self._ctx.home) as session:
            for index, message in enumerate(messages):
                if self._stale(message):
                    self._wait(messages[index:])
                    return False
                if _try(self._ctx, message, session).away:
                    self._wait(messages[index + 1:])
                    return True
        return False

    def _stale(self, message: Message) -> bool:
        """Its claim is half over: one begun now might be claimed by others, and sent by them, before it is answered."""
        return message.due_at is not None and self._ctx.clock() > message.due_at - LEASE / 2

    def _wait(self, messages: Sequence[Message]) -> None:
        """Give these back untried."""
        if messages:
            until = self._ctx.clock() + SHORTEST_PAUSE
            commit("notify.save", self._ctx.store, lambda tx: outbox.give_back(tx, messages, until))


def deliver_due(ctx: Context, most: int) -> int:
    """Try all that is due at this moment, at most `most`; answers how many that were. For where no worker runs."""
    notifier, now, tried = Notifier(ctx), ctx.clock(), 0
    while tried < most and (taken := notifier.tick(now, most - tried)):
        tried += taken
        notifier.idle()
    return tried


def deliver(ctx: Context, message: Message) -> bool:
    """Try one message; says whether it is done with. Never raises for what another's server does."""
    settings = ctx.settings.mail
    if message.channel != outbox.MAIL or settings is None:
        return _try(ctx, message, None).error is None
    with Session(settings, ctx.home) as session:
        return _try(ctx, message, session).error is None


def _try(ctx: Context, message: Message, session: Session | None) -> Outcome:
    with ctx.store.read() as tx:
        turned = reminders.overtaken(tx, message, ctx.clock())
    if turned is not None:
        commit("notify.turn", ctx.store, lambda tx: _turn(tx, message, turned))
        return Outcome(turned, final=True)
    outcome = _told(ctx, message, session)
    settle(ctx, message, outcome)
    return outcome


def _told(ctx: Context, message: Message, session: Session | None) -> Outcome:
    try:
        if message.channel != outbox.MAIL:
            return webhook.send(ctx, message)
        if session is None:
            return Outcome("tenure.yaml had no `mail:` when this process started: set it, and restart the worker")
        return mail.send(ctx, session, message)
    except StoreError:
        raise
    except Exception as fault:  # noqa: BLE001 - a fault of ours in one message must not hold up its lane; the log has it
        log.exception("%s %s (%s of %s)", message.channel, message.id, message.type, message.account)
        return Outcome(f"a fault in Tenure ({type(fault).__name__}): its log has the traceback")


def _turn(tx: Tx, message: Message, why: str) -> None:
    """The reminder is left out."""
    try:
        outbox.later(tx, message.id, None, why)
    except Conflict:
        log.debug("%s %s was delivered meanwhile", message.channel, message.id)
