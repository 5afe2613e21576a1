"""How long 400 accounts booked for one minute take to prepare, and to open at it: a site in memory, no Pulumi.

    python -m tests.bench.bookings [--count 400]
"""

import argparse
import tempfile
import time
from pathlib import Path

from orchestrator.lifecycle.account import State
from tests.flows.booked import MONDAY, book
from tests.flows.town import town


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder, town(Path(folder) / "home") as made:
        ids = [book(made, code=code) for code in made.codes(count)]
        for what, at, state in (("prepared with logins closed", MONDAY - made.offer.provision_within,
                                 State.PROVISIONING), ("open after their common beginning", MONDAY, State.ACTIVE)):
            made.advance_to(at)
            began = time.perf_counter()
            made.work()
            print(f"{count} booked accounts {what}: {time.perf_counter() - began:.1f} s", flush=True)
            states = {record.account.state for record in made.all() if record.id in ids}
            if states != {state}:
                raise SystemExit(f"not all of them are {state}: {states}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=400)
    main(parser.parse_args().count)
