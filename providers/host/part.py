"""One of the five parts of an account on a host: ask the on-site program, read its answer strictly, and compare what it
read back with what the spec says."""

from providers.host.agent import Agent
from providers.host.wire import WORK, as_json
from providers.protocol import Fact, NeedsHuman, PartName, Seen, Spec, TryLater, checked_account


class HostPart:
    """What a site kind's part names: itself, the facts that identify it, and the facts that a spec demands."""

    name: PartName
    identity: frozenset[str]

    def __init__(self, agent: Agent, where: str) -> None:
        self._agent, self._where = agent, where

    def observe(self, spec: Spec) -> Seen | None:
        answer = self._ask("observe", spec)
        return None if answer is None else self._read(answer)

    def ensure(self, spec: Spec) -> Seen:
        seen = self._read(self._ask("ensure", spec))
        for fact, wanted in self.wanted(spec).items():
            if seen.facts.get(fact) != wanted:
                raise NeedsHuman(
                    f"{self._where}: {self.name} of {spec.account}: {fact} reads back as "
                    f"{seen.facts.get(fact)!r} where {wanted!r} was set",
                    remedy="look at the account on the host; `tenure site check` shows what does not work there",
                )
        return seen

    def remove(self, spec: Spec) -> None:
        self._ask("remove", spec)

    def wanted(self, spec: Spec) -> dict[str, Fact]:
        """What the facts must be for this spec once it is ensured. Each kind's part says so."""
        raise NotImplementedError

    def _ask(self, op: str, spec: Spec) -> object:
        checked_account(spec.account)
        return self._agent.call(op, timeout=WORK, part=self.name, spec=as_json(spec))

    def _read(self, answer: object) -> Seen:
        seen = read_facts(self.name, answer)
        missing = sorted(self.identity - seen.facts.keys())
        if missing:
            raise TryLater(f"{self._where}: {self.name}: the answer lacks {', '.join(missing)}")
        return seen


def read_facts(part: PartName, answer: object) -> Seen:
    """Facts as the protocol knows them; anything else is TryLater: we do not know what the site did."""
    if not isinstance(answer, dict):
        raise TryLater(f"{part}: the answer holds no facts: {answer!r}"[:200])
    facts: dict[str, Fact] = {}
    for name, value in answer.items():
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            facts[str(name)] = [str(one) for one in value]
        elif isinstance(value, str | int | bool):
            facts[str(name)] = value
        else:
            raise TryLater(f"{part}: fact {name!r} is {value!r}"[:200])
    return Seen(part, facts)
