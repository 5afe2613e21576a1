"""A real host's meters: what is used shows in its hour, a gap shows as a gap, and nothing is lost or counted twice."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from providers.host.onsite.buckets import HOUR, LONGEST
from providers.host.onsite.lock import take_turn
from tests.lab import program
from tests.lab.accounts import MIB, Tenant
from tests.lab.client import Answered, Client
from tests.lab.fixtures import MakeTenant
from tests.lab.killed import dies
from tests.lab.lab import Lab
from tests.lab.shell import pid_of, stop, until
from tests.lab.traffic import Sink, as_holder, send

BURN = "import time\nwhile time.process_time() < 1.2: pass"
"""More than a second of CPU: the first moments of a process lie before it is in its cgroup."""
HOLD = "import time; held = bytearray(64 << 20); print('held', flush=True); time.sleep(600)"
MINUTE = 60_000


def burn(made: Tenant) -> None:
    assert as_holder(made, "python3", "-c", BURN).returncode == 0


def book(lab: Lab) -> dict[str, Any]:
    """What the last look left."""
    read: dict[str, Any] = json.loads(lab.place.path("state/meters.json").read_text())
    return read


def rewrite(lab: Lab, change: Callable[[dict[str, Any]], None]) -> None:
    """The past as it would have been. Only while no reaper looks."""
    read = book(lab)
    change(read)
    lab.place.path("state/meters.json").write_text(json.dumps(read))


@contextmanager
def without_reaper(lab: Lab) -> Iterator[None]:
    stop(lab.place, "reaper", signal.SIGKILL)
    try:
        yield
    finally:
        program.start_reaper(lab.place)


def looked(lab: Lab, made: Tenant) -> None:
    until(lambda: made.id in book(lab)["rows"], "a look of the meters")


def test_bytes_sent_are_counted(tenant: MakeTenant) -> None:
    """Each one, and only those that passed."""
    made = tenant(egress=10_000).open()
    send(made, Sink(made.place.machine_address), 12)
    until(lambda: made.used("egress") == 10_000, "the bytes")


def test_cpu_that_was_burnt_shows(tenant: MakeTenant) -> None:
    """At least what the process says of itself."""
    made = tenant().open()
    burn(made)
    until(lambda: made.used("cpu") >= 1000, "the second of CPU")
    assert made.used("cpu") < 10_000


def test_a_file_shows_as_size_times_time(tenant: MakeTenant) -> None:
    """Byte-seconds, growing for as long as it lies there."""
    made = tenant().open()
    script = "head -c 8388608 /dev/zero > \"$1\" && sync \"$1\""
    assert as_holder(made, "sh", "-c", script, "sh", str(made.folder / "home" / "file")).returncode == 0
    until(lambda: made.used("storage") > 8 * MIB * 6, "six seconds of it", 60)
    (*_, last) = made.usage()
    assert made.used("storage") < 9 * MIB * (last["until"] - made.usage()[0]["since"])
    assert made.client.call("stored", account=made.id)["storage"] >= 8 * MIB


def test_memory_in_use_shows_as_size_times_time(tenant: MakeTenant) -> None:
    """As long as a process holds it."""
    made = tenant().open()
    process = subprocess.Popen(made.inside("python3", "-c", HOLD), stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        until(lambda: made.used("memory") > 64 * MIB * 6, "six seconds of it", 60)
    finally:
        process.kill()
        process.wait()


def test_a_reaper_that_was_stopped_leaves_a_gap(lab: Lab, tenant: MakeTenant) -> None:
    """Shown as time that is not covered; what was burnt meanwhile is there afterwards."""
    made = tenant().open()
    looked(lab, made)
    reaper = pid_of(lab.place, "reaper")
    assert reaper is not None
    os.kill(reaper, signal.SIGSTOP)
    try:
        burn(made)
        quiet = time.monotonic() * 1000 + LONGEST + 1000
        until(lambda: time.monotonic() * 1000 > quiet, "a while without a look", 60)
    finally:
        os.kill(reaper, signal.SIGCONT)
    until(lambda: made.used("cpu") >= 1000, "the next look")
    missing = sum(one["until"] - one["since"] - one["covered"] for one in made.usage())
    assert missing * 1000 > LONGEST
    assert made.client.call("outages", since=made.usage()[0]["since"]) == []


def test_a_reaper_that_is_killed_counts_nothing_twice(lab: Lab, tenant: MakeTenant) -> None:
    """Nor loses anything."""
    made = tenant().open()
    sink = Sink(made.place.machine_address)
    for _ in range(3):
        send(made, sink, 10)
        stop(lab.place, "reaper", signal.SIGKILL)
        program.start_reaper(lab.place)
    until(lambda: made.used("egress") >= 30_000, "the meters")
    assert made.used("egress") == 30_000


def test_a_reboot_loses_nothing_that_was_counted(lab: Lab, tenant: MakeTenant) -> None:
    """Counters start anew and count on."""
    made, sink = tenant().open(), Sink(lab.place.machine_address)
    send(made, sink, 10)
    burn(made)
    until(lambda: made.used("cpu") >= 1000, "the meters")
    before = made.used("cpu")
    lab.reboot()
    until(lambda: (lab.place.run / f"{made.id}.ready").exists(), "the limits")
    assert made.used("cpu") >= before
    send(made, sink, 10)
    burn(made)
    until(lambda: made.used("cpu") >= before + 1000, "the meters")
    assert made.used("egress") == 20_000


def test_a_host_that_was_down_had_an_outage(lab: Lab, lab_client: Client, tenant: MakeTenant) -> None:
    """From its last heart-beat to the first after the boot, told for 90 days."""
    made = tenant().open()
    looked(lab, made)
    stop(lab.place, "reaper", signal.SIGKILL)
    rewrite(lab, lambda read: read.update(beat=read["beat"] - 10 * MINUTE))
    begun = book(lab)["beat"] / 1000
    lab.reboot()
    until(lambda: book(lab)["beat"] / 1000 > begun + 1, "the first look after it")
    (told,) = lab_client.call("outages", since=begun)
    assert told["since"] == begun
    assert told["until"] > begun + 600
    assert lab_client.call("outages", since=told["until"]) == []


def test_a_reaper_that_was_away_is_no_outage(lab: Lab, lab_client: Client, tenant: MakeTenant) -> None:
    """The host stayed up."""
    made = tenant().open()
    looked(lab, made)
    stop(lab.place, "reaper", signal.SIGKILL)
    rewrite(lab, lambda read: read.update(beat=read["beat"] - 10 * MINUTE, steady=read["steady"] - 10 * MINUTE))
    begun = book(lab)["beat"]
    program.start_reaper(lab.place)
    until(lambda: book(lab)["beat"] > begun + MINUTE, "the next look")
    assert [one for one in lab_client.call("outages", since=begun / 1000) if one["since"] * 1000 == begun] == []


def an_hour_ago(lab: Lab, made: Tenant) -> None:
    """The account opened an hour earlier, and its open bucket is of that hour."""
    stop(lab.place, "reaper")

    def change(read: dict[str, Any]) -> None:
        row = read["rows"][made.id]
        row[0], row[4] = row[0] - HOUR, row[4] - 1

    rewrite(lab, change)
    program.start_reaper(lab.place)


def test_an_hour_that_is_over_stays_as_it_was(lab: Lab, tenant: MakeTenant) -> None:
    """However often it is asked for, and whatever is used later; also beside a line that a power cut has torn."""
    made = tenant().open()
    send(made, Sink(lab.place.machine_address), 10)
    until(lambda: made.used("egress") == 10_000, "the meters")
    an_hour_ago(lab, made)
    kept = lab.place.path(f"state/usage/{made.id}.jsonl")
    until(kept.exists, "the hour's end")
    first = made.usage()
    with open(kept, "a") as file:
        file.write('[1, {"cp')
    send(made, Sink(lab.place.machine_address), 10)
    until(lambda: made.used("egress") == 20_000, "the meters")
    assert made.usage()[0] == first[0]
    assert first[0]["amounts"]["egress"] == 10_000


def test_a_bucket_that_was_closed_twice_counts_once(lab: Lab, tenant: MakeTenant) -> None:
    """Killed after the hour was written down and before the look was: the look is done again."""
    made = tenant().open()
    send(made, Sink(lab.place.machine_address), 10)
    until(lambda: made.used("egress") == 10_000, "the meters")
    an_hour_ago(lab, made)
    kept = lab.place.path(f"state/usage/{made.id}.jsonl")
    until(kept.exists, "the hour's end")
    kept.write_text(kept.read_text() * 2)
    assert made.used("egress") == 10_000


def test_a_look_cut_short_counts_nothing_twice(lab: Lab, tenant: MakeTenant) -> None:
    """Killed before each side effect of the look that closes an hour: the next one finds it all, and leaves nothing
    aside."""
    made, sink = tenant().open(), Sink(lab.place.machine_address)
    looked(lab, made)
    with without_reaper(lab):
        fatal, dying = 0, True
        while dying:
            fatal += 1

            def long_ago(read: dict[str, Any], hours: int = fatal) -> None:
                row = read["rows"][made.id]
                row[0], row[4], read["steady"] = row[0] - hours * HOUR, row[4] - hours, read["steady"] - 2000

            rewrite(lab, long_ago)
            send(made, sink, 10)
            dying = dies(lab.place, fatal, "usage", account=made.id, since=1.0)
            until(partial(has_sent, made, fatal * 10_000), "the next look")
            assert made.used("egress") == fatal * 10_000
        assert fatal > 3
        assert [name for name in os.listdir(lab.place.path("state")) if name.startswith(".")] == []


def has_sent(made: Tenant, so_much: int) -> bool:
    return made.used("egress") >= so_much


def test_meters_that_are_stuck_delay_no_end(lab: Lab, tenant: MakeTenant) -> None:
    """Whoever holds their lock, the reaper ends what is due."""
    made = tenant().open(duration=1.0)
    with take_turn(lab.place.run / "locks" / "meters"):
        until(lambda: Path(str(made.facts["access"]["principals"])).read_text() == "", "the end")


def test_meters_are_listed_and_go_with_the_account(lab: Lab, tenant: MakeTenant) -> None:
    """Both files; then the site knows nothing of what it used."""
    made = tenant().open()
    looked(lab, made)
    an_hour_ago(lab, made)
    kept = lab.place.path(f"state/usage/{made.id}.jsonl")
    until(kept.exists, "the hour's end")
    paths = [what for kind, what in made.leftovers() if kind == "meter"]
    assert paths == [f"{lab.place.path('state/meters.json')} {made.id}", str(kept)]
    made.clean()
    assert (made.usage(), made.leftovers(), kept.exists()) == ([], [], False)


def test_a_book_that_cannot_be_read_is_begun_anew(lab: Lab, tenant: MakeTenant) -> None:
    """From what the counters show then on: what may have been told already is not told again."""
    made, sink = tenant().open(), Sink(lab.place.machine_address)
    send(made, sink, 10)
    until(lambda: made.used("egress") == 10_000, "the meters")
    stop(lab.place, "reaper")
    lab.place.path("state/meters.json").write_text("{")
    program.start_reaper(lab.place)
    until(lambda: lab.place.path("state/meters.json").read_text() != "{", "the next look")
    send(made, sink, 5)
    until(lambda: made.used("egress") > 0, "the meters")
    assert made.used("egress") == 5_000


@pytest.mark.parametrize("since", [0, -1, "x", None, 1e300])
def test_a_since_that_is_no_instant_is_refused(tenant: MakeTenant, since: object) -> None:
    """By both questions that take one."""
    made = tenant()
    with pytest.raises(Answered, match="refused"):
        made.client.call("usage", since=since, account=made.id)
    with pytest.raises(Answered, match="refused"):
        made.client.call("outages", since=since)
