"""The lifecycle as a state machine: events and faults as rules, what must hold as invariants."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orchestrator.lifecycle.account import MOVES, USABLE, FencedBy, State
from tests.lifecycle.model import LEASE, TOLERANCE, Claim, World

WORKERS = st.sampled_from(["w1", "w2", "w3"])
LENGTHS = st.sampled_from([timedelta(seconds=1), timedelta(seconds=29), timedelta(minutes=3), timedelta(minutes=51),
                           timedelta(hours=1), timedelta(hours=3), timedelta(days=1)])
JUMPS = st.sampled_from([timedelta(seconds=sign * size) for sign in (-1, 1) for size in (1, 3600, 86400)])
SETTLED = {State.RECLAIMED}


class Lifecycle(RuleBasedStateMachine):
    """One programme of three vouchers, three workers and an operator, at one site."""

    bugs: frozenset[str] = frozenset()

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.bugs)
        self.running: dict[str, tuple[Claim, Iterator[None]]] = {}
        self.events = 0
        self.data: dict[str, int] = {}
        self.end_fenced: set[str] = set()
        self.accepted: dict[str, str] = {}

    def check(self) -> None:
        """All that must hold, for stories told by hand."""
        for must in (self.i1_nothing_is_open_past_its_end, self.i1_a_fence_at_the_end_is_never_lifted,
                     self.i1_fenced_means_closed, self.i2_one_live_account_per_voucher, self.i3_reclaimed_means_gone,
                     self.i5_accepted_is_kept, self.i7_data_stays_until_reclaim, self.i8_the_record_is_a_life,
                     self.a_wrong_clock_deletes_nothing):
            must()

    def pick(self, nth: int, *states: State) -> str | None:
        """One of the accounts in these states."""
        rows = [id for id, row in self.world.db.rows.items() if not states or row.account.state in states]
        return rows[nth % len(rows)] if rows else None

    @initialize()
    def first(self) -> None:
        self.redeem(0, "v0")

    @rule(event=st.integers(0, 3), voucher=st.sampled_from(["v0", "v1", "v2"]))
    def redeem(self, event: int, voucher: str) -> None:
        """An event, new or again; a voucher, fresh or used."""
        account = self.world.redeem(f"{voucher}/{event}", voucher)
        if account is not None:
            assert self.accepted.setdefault(f"{voucher}/{event}", account) == account, "I5: another answer"

    @rule(length=LENGTHS)
    def time_passes(self, length: timedelta) -> None:
        self.world.clocks.true += length
        self.world.site.reap()

    @rule(late=st.sampled_from([timedelta(), timedelta(seconds=1), LEASE]))
    def time_comes(self, late: timedelta) -> None:
        """It is time for what is next due, or a little after."""
        times = [at for row in self.world.db.rows.values() if (at := self.world.db.due_at(row)) is not None]
        ahead = [at for at in times if at > self.world.clocks.ours]
        if ahead:
            self.time_passes(min(ahead) - self.world.clocks.ours + late)

    @rule(worker=WORKERS, nth=st.integers(0, 5), steps=st.sampled_from([1, 2, 3, 4, 9, 9]))
    def serve(self, worker: str, nth: int, steps: int) -> None:
        """A free worker takes up what is due, and gets some way or all of it."""
        due = [id for id, row in self.world.db.rows.items()
               if (at := self.world.db.due_at(row)) is not None and at <= self.world.clocks.ours]
        if worker not in self.running and due and (taken := self.world.db.claim(due[nth % len(due)], worker)):
            self.running[worker] = (taken, self.world.work(taken))
            self.go_on(worker, steps)

    @rule(worker=WORKERS, steps=st.integers(1, 6))
    def go_on(self, worker: str, steps: int) -> None:
        """A worker does its next steps, however long it was paused before."""
        for _ in range(steps):
            if worker in self.running and next(self.running[worker][1], "done") == "done":
                del self.running[worker]

    @rule(worker=WORKERS)
    def kill(self, worker: str) -> None:
        """A worker dies between two steps; its claim lapses by itself."""
        self.running.pop(worker, None)

    @rule(worker=WORKERS, nth=st.integers(0, 5), what=st.sampled_from(["extend", "fence", "unfence"]))
    def operator(self, worker: str, nth: int, what: str) -> None:
        """A direct call: claims, asks the site, saves."""
        wanted = (State.FENCED,) if what == "unfence" else tuple(sorted(USABLE))
        id = self.pick(nth, *wanted)
        if id is None or worker in self.running:
            return
        if what == "unfence" and self.world.db.rows[id].account.fenced_by is not FencedBy.OPERATOR:
            return
        if taken := self.world.db.claim(id, worker, direct=True):
            flow = {"extend": lambda: self.world.extend(taken, timedelta(hours=1)),
                    "fence": lambda: self.world.operator_fence(taken),
                    "unfence": lambda: self.world.unfence(taken)}[what]()
            self.running[worker] = (taken, flow)

    @rule(nth=st.integers(0, 5), wish=st.sampled_from(["convert_asked", "reclaim_asked", "hold", "let_go"]))
    def wish(self, nth: int, wish: str) -> None:
        """An operator or a contract asks for something; it is tried at once."""
        id = self.pick(nth)
        if id is None:
            return
        row = self.world.db.rows[id]
        if wish == "convert_asked" and row.account.state not in (State.ACTIVE, State.FENCED):
            return
        if wish == "reclaim_asked" and row.account.convert_asked:
            return
        if wish == "convert_asked" and not row.account.convert_asked:
            row.account = replace(row.account, contract=f"{id}/{len(self.world.db.charged)}")
        change = {"hold": {"hold": True}, "let_go": {"hold": False}}.get(wish, {wish: True})
        row.account, row.paused = replace(row.account, **change), None  # type: ignore[arg-type]

    @rule(what=st.sampled_from(["way", "site clock", "our clock"]), jump=JUMPS)
    def fault(self, what: str, jump: timedelta) -> None:
        """The way to the site is cut, or one clock jumps; the second time it is as it was."""
        clocks = self.world.clocks
        if what == "way":
            self.world.site.reachable = not self.world.site.reachable
        elif what == "site clock" and not clocks.ours_off:
            clocks.site_off = timedelta() if clocks.site_off else jump
            self.world.site.reap()
        elif what == "our clock" and not clocks.site_off:
            clocks.ours_off = timedelta() if clocks.ours_off else jump

    @invariant()
    def i1_nothing_is_open_past_its_end(self) -> None:
        for id, lease in self.world.site.there.items():
            assert not (lease.open and self.world.clocks.site >= lease.end), f"I1: {id} is open past its end"

    @invariant()
    def i1_a_fence_at_the_end_is_never_lifted(self) -> None:
        for id, lease in self.world.site.there.items():
            if lease.fenced is FencedBy.END:
                self.end_fenced.add(id)
            elif id in self.end_fenced and lease.open:
                row = self.world.db.rows[id]
                assert row.account.convert_asked or State.CONTRACTED in row.moves, f"I1: {id} came back"

    @invariant()
    def i1_fenced_means_closed(self) -> None:
        for id, row in self.world.db.rows.items():
            lease = self.world.site.there.get(id)
            busy = any(taken.account.id == id for taken, _ in self.running.values()) or row.claimed_until is not None
            converting = row.account.convert_asked  # lifted at the site, and tried until it is recorded
            if row.account.state in (State.FENCED, State.RECLAIMED) and lease and not (busy or converting):
                assert not lease.open, f"I1: {id} is {row.account.state} and open"

    @invariant()
    def i2_one_live_account_per_voucher(self) -> None:
        for voucher in ("v0", "v1", "v2"):
            ids = [id for id, row in self.world.db.rows.items() if row.voucher == voucher]
            live = [id for id in ids if self.world.db.rows[id].account.state is not State.RECLAIMED]
            there = [id for id in ids if id in self.world.site.there]
            assert len(live) <= 1, f"I2: {voucher} has {live}"
            assert len(there) <= 1, f"I2: {voucher} has {there} at the site"

    @invariant()
    def i3_reclaimed_means_gone(self) -> None:
        for id, row in self.world.db.rows.items():
            if row.account.state is State.RECLAIMED:
                assert id not in self.world.site.there, f"I3: {id} is reclaimed and there"

    @invariant()
    def i5_accepted_is_kept(self) -> None:
        for event, id in self.accepted.items():
            assert self.world.db.events[event] == id, f"I5: {event} was lost"
            assert id in self.world.db.rows, f"I5: {id} was lost"

    @invariant()
    def i7_data_stays_until_reclaim(self) -> None:
        for id, lease in self.world.site.there.items():
            if lease.data is not None:
                assert self.data.setdefault(id, lease.data) == lease.data, f"I7: {id} has other data"
        for id, row in self.world.db.rows.items():
            if row.account.state in USABLE:
                assert id in self.world.site.there, f"I7: {id} is {row.account.state} and its data is gone"
        assert len(self.world.db.charged) == len(set(self.world.db.charged)), "I7: charged twice"

    @invariant()
    def i8_the_record_is_a_life(self) -> None:
        for id, row in self.world.db.rows.items():
            life = [State.REQUESTED, *row.moves]
            for before, after in zip(life, life[1:], strict=False):
                assert after in MOVES[before], f"I8: {id} went from {before} to {after}"

    @invariant()
    def a_wrong_clock_deletes_nothing(self) -> None:
        for id, at in self.world.site.deleted:
            account = self.world.db.rows[id].account
            if State.FAILED not in self.world.db.rows[id].moves and not account.reclaim_asked:
                assert account.ends_at is not None
                assert at >= account.ends_at + account.offer.grace - TOLERANCE, f"{id} was deleted early"

    def teardown(self) -> None:
        """I4: all faults over, every account comes to its end and is gone."""
        world = self.world
        world.site.reachable = True
        world.clocks.ours_off = world.clocks.site_off = timedelta()
        for row in world.db.rows.values():
            row.account = replace(row.account, hold=False)
        for _ in range(400):
            world.clocks.true += timedelta(minutes=10)
            world.site.reap()
            for id in world.db.rows:
                if taken := world.db.claim(id, "healer"):
                    for _ in world.work(taken):
                        pass
            if all(row.account.state in SETTLED for row in world.db.rows.values()):
                break
        left = {id: row.account.state for id, row in world.db.rows.items() if row.account.state not in SETTLED}
        assert not left, f"I4: {left} never came to an end"
        self.i3_reclaimed_means_gone()
