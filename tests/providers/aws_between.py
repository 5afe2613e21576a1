"""What happens between two calls to AWS: others act, AWS refuses, or an answer is lost. Put into the SDK's own events,
so that everything of ours runs as ever."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from providers.aws.edge import Aws
from providers.aws.settings import parse
from providers.aws.site import AwsSite
from tests.lab.moto import KEYS, Moto

Act = Callable[[str, dict[str, Any]], dict[str, Any] | None]
"""Gets the operation and what it is asked with (before) or has answered (after). Before a call, what it returns is the
answer, and AWS is not asked."""
LOOKS = ("Describe", "Get", "List", "Scan", "Query", "BatchGet", "Assume")


class Died(Exception):
    """Whoever called AWS is no more."""


class Between:
    """A site's calls: `before` and `after` each, and the names of all that were made."""

    def __init__(self) -> None:
        self.before: Act = nothing
        self.after: Act = nothing
        self.made: list[str] = []

    def site(self, server: Moto, name: str, patience: float = 5) -> AwsSite:
        """One worker's site, each of whose calls passes here."""
        aws = Aws(parse(name, server.settings()), KEYS, patience)
        events = aws._boto().events
        events.register("before-call", self._before)
        events.register("after-call", self._after)
        return AwsSite(aws)

    @contextmanager
    def calls(self, act: Act) -> Iterator[None]:
        """Act before each call, meanwhile."""
        self.before = act
        try:
            yield
        finally:
            self.before = nothing

    def _before(self, model: Any, params: Any, **_: Any) -> Any:
        self.made.append(model.name)
        answer = self.before(model.name, params)
        return None if answer is None else (SimpleNamespace(status_code=200), answer)

    def _after(self, model: Any, parsed: Any, **_: Any) -> None:
        self.after(model.name, parsed)


def nothing(operation: str, said: dict[str, Any]) -> None:
    """As AWS has it."""


def once(name: str, act: Callable[[], object]) -> Act:
    """Act at the first call of this operation."""
    return times(1, name, act)


def times(count: int, name: str, act: Callable[[], Any]) -> Act:
    """Act at the first so many calls of this operation."""
    left = [count]

    def at(operation: str, said: dict[str, Any]) -> Any:
        if operation != name or not left[0]:
            return None
        left[0] -= 1
        return act()

    return at


def always(name: str, act: Callable[[], Any]) -> Act:
    """Act at every call of this operation."""
    return lambda operation, said: act() if operation == name else None


def dies(fatal: int) -> Act:
    """Whoever calls dies before their write number `fatal`, from 1 up."""
    left = [fatal]

    def at(operation: str, said: dict[str, Any]) -> None:
        if operation.startswith(LOOKS):
            return
        left[0] -= 1
        if left[0] <= 0:
            raise Died

    return at


def refuses(operation: str, code: str, message: str = "") -> Callable[[], None]:
    """AWS says no, in its own words."""
    def act() -> None:
        raise ClientError({"Error": {"Code": code, "Message": message},
                           "ResponseMetadata": {"HTTPStatusCode": 400}}, operation)

    return act


def each_of(*acts: Act) -> Act:
    """All of them, at every call; the first that answers does."""
    def at(operation: str, said: dict[str, Any]) -> dict[str, Any] | None:
        answers = [act(operation, said) for act in acts]
        return next((one for one in answers if one is not None), None)

    return at
