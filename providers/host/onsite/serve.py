"""The protocol: one JSON request a line in, one answer a line out. Strict: an unknown op or field is refused."""

import base64
import json
import sys
import time
from collections.abc import Callable
from typing import IO, Any

from . import (
    access,
    boot,
    cgroups,
    clean,
    export,
    fence,
    lease,
    leftovers,
    lock,
    meters,
    names,
    notice,
    outages,
    parts,
    rescue,
    site,
    spec,
)
from .config import Config
from .errors import Refused, SiteFault
from .spec import whole

LONGEST = 1 << 20
FAR = 32_503_680_000.0
"""3000-01-01: no instant may lie beyond it. A contract without an end has one shortly before."""

Request = dict[str, Any]
Answer = Any


def instant(value: Any, name: str) -> float:
    """Epoch seconds from the request; Refused when it is not a plausible instant."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < FAR:
        raise Refused(f"{name}: must be epoch seconds, not {value!r}"[:200])
    return float(value)


def generation(request: Request) -> int:
    return whole(request["generation"], "generation", 1, 1 << 62)


def armed(known: lease.Lease) -> Answer:
    return {"armed": {"end": known.end, "generation": known.generation}}


def fenced(config: Config, account: str, now: float) -> Answer:
    """The site's answer when an end came first: the account is seen fenced before anybody hears of it."""
    known = lease.read(config, account)
    if known is None or known.fenced is None:
        fence.batch(config, [(account, None)], "end", now)
        known = lease.read(config, account)
    if known is None or known.fenced is None:
        raise Refused(f"{account}: its end has passed")
    return {"fenced": {"at": known.fenced.at, "by": known.fenced.by}}


def do_now(config: Config, request: Request) -> Answer:
    return {"now": time.time()}


def do_arm(config: Config, request: Request) -> Answer:
    account, end, now = names.check(request["account"]), instant(request["end"], "end"), time.time()
    known = lease.arm(config, account, end, generation(request), now)
    if known.fenced or known.end <= now:
        return fenced(config, account, now)
    parts.follow(config, account)
    return armed(known)


def do_ensure(config: Config, request: Request) -> Answer:
    return parts.ensure(config, request["part"], spec.parse(request["spec"]))


def do_observe(config: Config, request: Request) -> Answer:
    return parts.observe(config, request["part"], spec.parse(request["spec"]))


def do_remove(config: Config, request: Request) -> Answer:
    parts.remove(config, request["part"], spec.parse(request["spec"]).account)
    return {}


def do_open(config: Config, request: Request) -> Answer:
    duration = request["duration"]
    if isinstance(duration, bool) or not isinstance(duration, (int, float)) or not 0 < duration < 10**9:
        raise Refused(f"duration: must be seconds, not {duration!r}"[:200])
    account = names.check(request["account"])
    opened = parts.open_logins(config, account, float(duration), generation(request))
    return {"starts_at": opened.starts_at, "ends_at": (opened.starts_at or 0.0) + (opened.duration or 0.0)}


def do_principal(config: Config, request: Request) -> Answer:
    expires = instant(request["expires"], "expires")
    access.admit(config, names.check(request["account"]), principal(request), expires, time.time())
    return {}


def do_rescue(config: Config, request: Request) -> Answer:
    account, until, now = names.check(request["account"]), instant(request["until"], "until"), time.time()
    named, known = principal(request), lease.read(config, account)
    if known is not None and known.fenced is None and known.end <= now:
        fenced(config, account, now)
    rescue.allow(config, account, named, until, now)
    return {}


def principal(request: Request) -> str:
    """The principal that a request names."""
    found = request["principal"]
    if not isinstance(found, str) or not 0 < len(found) <= 128 or not set(found) <= PRINCIPAL:
        raise Refused(f"principal: not one: {found!r}"[:200])
    return found


PRINCIPAL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:@")


def do_fence(config: Config, request: Request) -> Answer:
    by = request["by"]
    if by not in ("end", "operator"):
        raise Refused(f"by: must be end or operator, not {by!r}"[:200])
    return fence.batch(config, wanted(request["batch"]), by, time.time())


def wanted(batch: Any) -> list[tuple[str, int]]:
    """Accounts and generations of a batch."""
    if not isinstance(batch, list) or any(not isinstance(row, list) or len(row) != 2 for row in batch):
        raise Refused("batch: must be a list of [account, generation]")
    return [(names.check(account), whole(number, "generation", 1, 1 << 62)) for account, number in batch]


def do_unfence(config: Config, request: Request) -> Answer:
    account, end, now = names.check(request["account"]), instant(request["end"], "end"), time.time()
    with lock.account(config, account):
        known = fence.lift(config, account, end, generation(request), now)
        if known.fenced or known.end <= now:
            return fenced(config, account, now)
        parts.follow(config, account)
        return armed(known)


def do_notice(config: Config, request: Request) -> Answer:
    if not isinstance(request["text"], str):
        raise Refused("text: must be a text")
    notice.put(config, names.check(request["account"]), request["text"])
    return {}


def do_leftovers(config: Config, request: Request) -> Answer:
    return leftovers.listed(config, names.check(request["account"]))


def do_clean(config: Config, request: Request) -> Answer:
    return clean.batch(config, wanted(request["batch"]), time.time())


def do_accounts(config: Config, request: Request) -> Answer:
    return site.accounts(config)


def do_usage(config: Config, request: Request) -> Answer:
    return meters.usage(config, names.check(request["account"]), instant(request["since"], "since"))


def do_stored(config: Config, request: Request) -> Answer:
    return {"storage": meters.stored(config, names.check(request["account"]))}


def do_outages(config: Config, request: Request) -> Answer:
    return outages.listed(config, instant(request["since"], "since"))


def do_capacity(config: Config, request: Request) -> Answer:
    return site.capacity(config)


def do_reaper(config: Config, request: Request) -> Answer:
    return site.reaper(config, site.LONG_UNSEEN)


def do_check(config: Config, request: Request) -> Answer:
    return site.check(config)


def do_export(config: Config, request: Request, put: Callable[[bytes], None]) -> Answer:
    return export.export(config, names.check(request["account"]), export.checked(request["include"]), put)


IN_PIECES: dict[str, tuple[Callable[[Config, Request, Callable[[bytes], None]], Answer], frozenset[str]]] = {
    "export": (do_export, frozenset({"account", "include"})),
}
"""Before the answer come lines with a `piece` each, in base64."""

OPS: dict[str, tuple[Callable[[Config, Request], Answer], frozenset[str]]] = {
    "now": (do_now, frozenset()),
    "arm": (do_arm, frozenset({"account", "end", "generation"})),
    "ensure": (do_ensure, frozenset({"part", "spec"})),
    "observe": (do_observe, frozenset({"part", "spec"})),
    "remove": (do_remove, frozenset({"part", "spec"})),
    "open": (do_open, frozenset({"account", "duration", "generation"})),
    "principal": (do_principal, frozenset({"account", "principal", "expires"})),
    "rescue": (do_rescue, frozenset({"account", "principal", "until"})),
    "fence": (do_fence, frozenset({"batch", "by"})),
    "unfence": (do_unfence, frozenset({"account", "generation", "end"})),
    "notice": (do_notice, frozenset({"account", "text"})),
    "leftovers": (do_leftovers, frozenset({"account"})),
    "clean": (do_clean, frozenset({"batch"})),
    "accounts": (do_accounts, frozenset()),
    "usage": (do_usage, frozenset({"account", "since"})),
    "stored": (do_stored, frozenset({"account"})),
    "outages": (do_outages, frozenset({"since"})),
    "capacity": (do_capacity, frozenset()),
    "reaper": (do_reaper, frozenset()),
    "check": (do_check, frozenset()),
}


def answer(config: Config, line: str, out: IO[str] = sys.stdout) -> dict[str, Any]:
    """The answer to one line; what it has before that is said to `out`. Whatever goes wrong is an answer too: the
    connection goes on."""
    number = None
    try:
        request = json.loads(line)
        if not isinstance(request, dict) or not isinstance(request.get("id"), int):
            raise Refused("not a request: an object with id and op")
        number = request.pop("id")

        def put(piece: bytes) -> None:
            say(out, {"id": number, "piece": base64.b64encode(piece).decode()})

        return {"id": number, "ok": perform(config, request, put)}
    except SiteFault as error:
        return {"id": number, "error": {"kind": error.kind, "message": str(error), "remedy": error.remedy}}
    except (ValueError, RecursionError) as error:
        return {"id": number, "error": {"kind": "refused", "message": f"not usable: {error}", "remedy": ""}}
    except OSError as error:
        return {"id": number, "error": {"kind": "later", "message": f"{error}", "remedy": ""}}


def perform(config: Config, request: Request, put: Callable[[bytes], None]) -> Answer:
    """Do what the request says; Refused when its fields are not exactly the op's."""
    op = request.pop("op", None)
    if not isinstance(op, str) or (op not in OPS and op not in IN_PIECES):
        raise Refused(f"no such op: {op!r}"[:200])
    fields = OPS[op][1] if op in OPS else IN_PIECES[op][1]
    if request.keys() != fields:
        wrong = sorted(map(str, request.keys() ^ fields))
        raise Refused(f"{op}: takes {', '.join(sorted(fields)) or 'nothing'}; wrong: {', '.join(wrong)}"[:300])
    return OPS[op][0](config, request) if op in OPS else IN_PIECES[op][0](config, request, put)


def serve(config: Config, version: str, lines: IO[str], out: IO[str]) -> None:
    """Answer until the other side hangs up."""
    site.folders(config)
    flavour = cgroups.tree().flavour
    hello = {"version": version, "now": time.time(), "boot_id": boot.boot_id(), "cgroup": flavour}
    say(out, {"hello": hello})
    while line := lines.readline(LONGEST + 1):
        if len(line) > LONGEST:
            say(out, {"id": None, "error": {"kind": "refused", "message": "request too long", "remedy": ""}})
            return
        if line.strip():
            say(out, answer(config, line, out))


def say(out: IO[str], message: dict[str, Any]) -> None:
    out.write(json.dumps(message) + "\n")
    out.flush()


def main(config: Config, version: str) -> int:
    import contextlib

    with contextlib.suppress(BrokenPipeError):
        serve(config, version, sys.stdin, sys.stdout)
    return 0
