"""The reaper's other hand: accounts that were cut at the host end in the cluster that the host belongs to, on a thread
of its own, so that a cluster that does not answer delays no end at the host."""

import sys
import threading
import time

from . import fence, lease
from .config import Config
from .errors import SiteFault

RETRY_EVERY = 2.0


class Cluster:
    """What is due there. It need not be on disk: whose fence was written down is due again at the reaper's start."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.due: dict[str, float] = {}
        self.lock = threading.Condition()

    def put(self, accounts: list[str]) -> None:
        """These have been cut at the host."""
        if accounts and self.config.slurm is not None:
            with self.lock:
                self.due.update(dict.fromkeys(accounts, 0.0))
                self.lock.notify()

    def loop(self) -> None:
        """For as long as the daemon lives; what fails is tried again."""
        while True:
            with self.lock:
                self.lock.wait_for(lambda: bool(self.ready()), RETRY_EVERY)
                batch = self.ready()
                for account in batch:
                    del self.due[account]
            if batch:
                self.turn(batch)

    def turn(self, batch: list[str]) -> None:
        """End them and put back what did not work. Nothing ends this thread: of a batch that fails in a way that nobody
        foresaw each is tried alone, so that only the one at fault waits."""
        try:
            self.again(self.end(batch))
        except Exception as error:  # noqa: BLE001 - said aloud and tried again, as without this thread no job ends
            say(f"{' '.join(batch)}: in the cluster: {error!r}: again in {RETRY_EVERY:g} s")
            if len(batch) == 1:
                self.again(batch)
            else:
                for account in batch:
                    self.turn([account])

    def ready(self) -> list[str]:
        """The first of those that are due: command lines stay short."""
        now = time.monotonic()
        return sorted(account for account, at in self.due.items() if at <= now)[: fence.CHUNK]

    def end(self, batch: list[str]) -> list[str]:
        """End those that are still fenced; the ones that did not work."""
        began = time.monotonic()
        shut = [account for account in batch if self.fenced(account)]
        problems = fence.close(self.config, shut)
        lifted = [account for account in batch if not self.fenced(account)]
        for account in lifted:
            try:
                from . import slurm_jobs

                slurm_jobs.follow(self.config, account)
            except (SiteFault, OSError) as error:
                problems[account] = error
        for account, problem in problems.items():
            say(f"{account}: in the cluster: {problem}: again in {RETRY_EVERY:g} s")
        if len(problems) < len(shut):
            say(f"{len(shut) - len(problems)} ended in the cluster, which took {time.monotonic() - began:.3f} s")
        return list(problems)

    def fenced(self, account: str) -> bool:
        """A lease that cannot be read lets nobody in either."""
        try:
            known = lease.read(self.config, account)
        except SiteFault:
            return True
        return known is not None and (known.fenced is not None or known.end <= time.time())

    def again(self, accounts: list[str]) -> None:
        with self.lock:
            for account in accounts:
                self.due.setdefault(account, time.monotonic() + RETRY_EVERY)


def say(text: str) -> None:
    """One line on the daemon's log."""
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}", file=sys.stderr, flush=True)  # noqa: T201
