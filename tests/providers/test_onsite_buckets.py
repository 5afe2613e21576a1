"""A host's meters as arithmetic: whatever clock, counters and reaper do, nothing is lost, made or negative."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from providers.host.onsite.buckets import (
    HOUR,
    LONGEST,
    NOT_THERE,
    NOTHING_RUNS,
    Bucket,
    Reading,
    Row,
    elapsed,
    hours,
    spread,
    told,
)

START = 480_000 * HOUR + 59 * 60_000
"""A minute before an hour is over."""
IDLE = Reading(1, 0, 0, 0, 0)


@dataclass
class Account:
    """One account under its meters, with the file of its closed hours."""

    row: Row
    closed: dict[int, Bucket]

    def look(self, seen: Reading, now: int, covered: int) -> None:
        self.closed |= self.row.look(seen, now, covered, lambda hour: self.closed.get(hour) or Bucket())

    def all(self) -> dict[int, Bucket]:
        return {**self.closed, self.row.hour: self.row.bucket}

    def total(self, meter: str) -> int:
        return sum(bucket.amounts.get(meter, 0) for bucket in self.all().values())


def opened(at: int = START) -> Account:
    return Account(Row(at), {})


@st.composite
def looks(draw: st.DrawFn) -> list[tuple[int, int, Reading]]:
    """Looks with a clock that jumps, a reaper that pauses, counters that start anew or cannot be read: (now, steady,
    seen)."""
    now, steady, cgroup, cpu, egress = START, 1_000_000, 1, 0, 0
    found = []
    for _ in range(draw(st.integers(1, 12))):
        passed = draw(st.sampled_from([1, 5_000, LONGEST, LONGEST + 1, 3 * HOUR]))
        steady += passed
        now += passed + draw(st.sampled_from([0, 0, 0, -7, HOUR, -HOUR, 86_400_000, -86_400_000]))
        if draw(st.integers(0, 4)) == 0:
            cgroup, cpu = cgroup + 1, 0
        cpu, egress = cpu + draw(st.integers(0, 1 << 40)), egress + draw(st.integers(0, 1 << 40))
        gone, blind = draw(st.integers(0, 5)) == 0, draw(st.integers(0, 5)) == 0
        sizes = draw(st.integers(0, 1 << 40)), draw(st.integers(0, 1 << 40))
        seen = Reading(cgroup, cpu, *sizes, egress)
        if gone:
            seen = Reading(NOTHING_RUNS, 0, 0, sizes[1], NOT_THERE)
        elif blind:
            seen = Reading(NOTHING_RUNS, None, None, None, None)
        found.append((now, steady, seen))
    # a last look at what the counters have come to
    return [*found, (now + 1, steady + 1, Reading(cgroup, cpu, 0, 0, egress))]


def metered(found: list[tuple[int, int, Reading]]) -> Account:
    account, before = opened(), 1_000_000
    for now, steady, seen in found:
        account.look(seen, now, elapsed(before, steady))
        before = steady
    return account


@given(looks())
def test_what_was_sent_is_what_the_hours_add_up_to(found: list[tuple[int, int, Reading]]) -> None:
    """Not a byte is lost in a gap or counted twice after it."""
    assert metered(found).total("egress") == found[-1][2].egress


@given(looks())
def test_cpu_of_each_counter_that_was_seen_is_counted_once(found: list[tuple[int, int, Reading]]) -> None:
    """The last that each one showed, whichever came between."""
    last = {seen.cgroup: seen.cpu for _, _, seen in found if seen.cpu is not None and seen.cgroup != NOTHING_RUNS}
    assert metered(found).total("cpu") == sum(last.values())


@given(looks())
def test_nothing_is_negative_and_no_more_covered_than_there_was(found: list[tuple[int, int, Reading]]) -> None:
    """Whatever the clock did."""
    account = metered(found)
    for start, end in hours(START, START + 3 * 86_400_000):
        row = told(start, end, account.all().get(start // HOUR, Bucket()), {})
        covered, amounts = row["covered"], row["amounts"]
        assert isinstance(covered, float)
        assert isinstance(amounts, dict)
        assert 0 <= covered <= (end - start) / 1000
        assert min(amounts.values(), default=0) >= 0


@given(looks())
def test_sizes_count_for_no_longer_than_was_metered(found: list[tuple[int, int, Reading]]) -> None:
    """A jump of the clock makes no giant amount: the time that counts is the one that nobody sets."""
    steadies = [1_000_000, *(steady for _, steady, _ in found)]
    times = [elapsed(before, after) for before, after in zip(steadies, steadies[1:], strict=False)]
    most = sum(time * (seen.storage or 0) for time, (_, _, seen) in zip(times, found, strict=True))
    assert metered(found).total("storage") <= most


@given(st.integers(0, 1 << 70), st.integers(0, 9 * HOUR), st.integers(0, 9 * HOUR))
def test_shares_add_up(amount: int, since: int, until: int) -> None:
    """To what was counted, exactly."""
    shares = spread(amount, since, until)
    assert sum(shares.values()) == amount
    assert min(shares.values()) >= 0


def test_a_look_over_the_hour_is_shared_between_both() -> None:
    """By the time that lay in each."""
    account = opened()
    account.look(IDLE, START + 50_000, 5_000)
    account.look(Reading(1, 9_000_000, 10, 0, 0), START + 65_000, 15_000)
    first, second = account.closed[START // HOUR], account.row.bucket
    assert (first.amounts["cpu"], second.amounts["cpu"]) == (6_000_000, 3_000_000)
    assert (first.amounts["memory"], second.amounts["memory"]) == (100_000, 50_000)


def test_what_was_used_before_the_first_look_counts() -> None:
    """From the opening on; not a moment before it."""
    account = opened()
    account.look(Reading(1, 7, 1, 0, 0), START + 3_000, 5_000)
    assert (account.total("cpu"), account.total("memory"), account.row.bucket.measured) == (7, 3_000, 3_000)


def test_looks_too_far_apart_are_a_gap() -> None:
    """Nothing is covered and no size counts; what was counted meanwhile is there afterwards."""
    account = opened()
    account.look(IDLE, START + 5_000, 5_000)
    account.look(Reading(1, 44, 1 << 30, 1 << 30, 3), START + 40_000, elapsed(5_000, 40_000))
    row = told(START, START + 40_000, account.row.bucket, {})
    assert row["covered"] == 5.0
    assert [account.total(meter) for meter in ("cpu", "egress", "memory", "storage")] == [44, 3, 0, 0]


def test_an_hour_that_comes_again_goes_on() -> None:
    """A clock that was an hour ahead for a moment."""
    account = opened()
    account.look(IDLE, START + 5_000, 5_000)
    account.look(Reading(1, 0, 1, 0, 0), START + HOUR, 5_000)
    account.look(Reading(1, 0, 1, 0, 0), START + 15_000, 5_000)
    assert account.row.hour == START // HOUR
    assert account.row.bucket.measured == 15_000 - 5_000
    assert account.total("memory") == 10_000


def test_a_meter_that_was_not_read_is_missing() -> None:
    """The others are there, and covered."""
    account = opened()
    account.look(Reading(1, 0, 0, None, 0), START + 5_000, 5_000)
    row = told(START, START + 5_000, account.row.bucket, {})
    assert row["amounts"] == {"cpu": 0, "memory": 0, "egress": 0}
    assert row["covered"] == 5.0


def test_a_meter_that_was_not_read_for_a_while_leaves_a_gap() -> None:
    """Covered is the time in which all of them were read."""
    account = opened()
    account.look(Reading(1, 0, 0, None, 0), START + 5_000, 5_000)
    account.look(IDLE, START + 10_000, 5_000)
    assert account.row.bucket.measured == 5_000


def test_an_hour_without_meters_is_a_gap_with_what_other_books_say() -> None:
    """Jobs are in Slurm's books whether or not the login host was up."""
    row = told(START, START + 60_000, Bucket(), {"cpu": 3000, "chip:npu": 7})
    assert (row["covered"], row["amounts"]) == (0.0, {"cpu": 3, "chip:npu": 7})
