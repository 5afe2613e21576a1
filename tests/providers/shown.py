"""What the suite that every kind must pass asks of a kind beside its site: a look past our own code, and faults."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from providers.protocol import Leftover, PartName, Site, Spec

GetsIn = Callable[[], bool]
"""Whether the holder can use the account now, as the site itself answers them."""


@dataclass(frozen=True)
class Shown(ABC):
    """A prepared site, what its offers may name there, and five ways past our own code."""

    kind: str
    site: Site
    images: tuple[str, ...] = ()
    models: tuple[str, ...] = ()

    @abstractmethod
    def ends(self, account: Spec) -> dict[str, datetime]:
        """The end as each thing at the site that enforces it has it, by that thing's name."""

    @abstractmethod
    def holder(self, account: Spec) -> GetsIn:
        """Somebody whom the site has just given a credential that lasts longer than the test."""

    @abstractmethod
    def there(self, account: Spec) -> set[str]:
        """What the site has of the account, listed by other means than the product's."""

    def called(self, left: Leftover) -> str:
        """How `there` calls what is left."""
        return f"{left.kind} {left.what}"

    @abstractmethod
    def unlisted(self) -> AbstractContextManager[None]:
        """Meanwhile one of the site's listings fails, and no other account is harmed."""

    @abstractmethod
    def dies(self, account: Spec, part: PartName, fatal: int) -> bool:
        """`ensure` of this part by somebody who dies before their side effect number `fatal`, from 1 up, at the site;
        False when there are fewer: then it is done."""
