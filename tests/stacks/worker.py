"""A worker that stands still in the middle of an `up`, to be killed there.

`python -m tests.stacks.worker HOME FILE ACCOUNT`
"""

import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from providers.memory.site import connect
from stacks.runner import Stacks
from tests.providers import specs
from tests.stacks.conftest import PASSPHRASE
from tests.stacks.sites import before


def stand_still() -> None:
    sys.stdout.write("reached the storage\n")
    sys.stdout.flush()
    threading.Event().wait()


def main(home: Path, file: str, account: str) -> None:
    site, spec = connect("shared", {"file": file}, {}), specs.spec(account)
    site.arm(spec, datetime.now(UTC) + timedelta(hours=1), generation=1)
    before(site, "storage", stand_still)
    with Stacks(None, home, PASSPHRASE) as stacks:
        stacks.up(account, spec, site)


main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
