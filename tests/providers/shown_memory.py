"""The memory site, shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from providers.memory.site import MemorySite
from providers.protocol import PartName, Spec, TryLater
from tests.providers.keys import make_key
from tests.providers.shown import GetsIn, Shown


@dataclass(frozen=True)
class ShownMemory(Shown):
    """Its world is at hand, faults included."""

    site: MemorySite

    def ends(self, account: Spec) -> dict[str, datetime]:
        end = self.site.keeper.peek(lambda world: world.tenancies[account.account].end)
        return {"tenancy": datetime.fromtimestamp(end, UTC)}

    def holder(self, account: Spec) -> GetsIn:
        self.site.issue(account, make_key().public, self.site.now() + timedelta(hours=1))

        def gets_in() -> bool:
            with self.site.keeper.held() as world:
                world.tick()
                known = world.tenancies[account.account]
                return known.usable and any(until > world.now() for until in known.principals.values())

        return gets_in

    def there(self, account: Spec) -> set[str]:
        with self.site.keeper.held() as world:
            known = world.tenancies.get(account.account)
            return {f"{what} {what} of {account.account}" for what in [*known.parts, "lease"]} if known else set()

    @contextmanager
    def unlisted(self) -> Iterator[None]:
        self.site.keeper.peek(lambda world: world.faults.unlisted.append("storage"))
        try:
            yield
        finally:
            self.site.keeper.peek(lambda world: world.faults.unlisted.remove("storage"))

    def dies(self, account: Spec, part: PartName, fatal: int) -> bool:
        """One step in all: whoever dies before it has done nothing, whoever dies after it has not heard so."""
        def fault(dead: bool, lost: int) -> None:
            with self.site.keeper.held() as world:
                world.faults.dead, world.faults.lost_answers = dead, lost

        fault(fatal == 1, int(fatal == 2))
        try:
            self.site.parts[part].ensure(account)
        except TryLater:
            return True
        finally:
            fault(False, 0)
        return False
