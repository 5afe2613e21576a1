"""The one door to the world: each site call, stack call and commit of a flow goes through here under a name.

A name is also two failpoints, `<name>.before` and `<name>.after`: TENURE_FAILPOINT=<point> kills this process there
with SIGKILL, TENURE_FAILPOINT=<point>=stop pauses it with SIGSTOP. Tests enumerate NAMES and kill at each.
"""

import os
import signal
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from orchestrator.store.engine import Store, Tx

P = ParamSpec("P")
T = TypeVar("T")

VARIABLE = "TENURE_FAILPOINT"

NAMES: frozenset[str] = frozenset({
    "redeem.commit",
    "claim.pin", "claim.clock", "claim.issue", "claim.keep", "claim.unpin",
    "rescue.pin", "rescue.allow", "rescue.keep", "rescue.unpin", "export.begin", "export.done",
    "provision.begin", "provision.arm", "provision.up", "provision.open", "provision.settle", "provision.active",
    "provision.failed", "provision.later",
    "provision.destroy", "provision.clean", "provision.forget", "provision.elsewhere",
    "warn.notice", "warn.save", "warn.later",
    "fence.site", "fence.each", "fence.save", "fence.later",
    "reclaim.fence", "reclaim.begin", "reclaim.inventory", "reclaim.destroy", "reclaim.clean", "reclaim.forget",
    "reclaim.done",
    "reclaim.later",
    "convert.refresh", "convert.accept", "convert.refuse", "convert.arm", "convert.unfence",
    "convert.overtaken", "convert.armed", "convert.up", "convert.done", "convert.later",
    "ask.convert", "ask.reclaim", "ask.hold", "ask.retry",
    "extend.claim", "extend.place", "extend.arm", "extend.save",
    "operator.claim", "operator.fence", "operator.unfence", "operator.save", "operator.release", "operator.notice",
    "sweep.claim", "sweep.renew", "sweep.give_back", "keep.seal", "keep.expire", "keep.key",
    "notify.claim", "notify.send", "notify.save", "notify.turn",
    "mail.send", "outbox.resend",
    "notice.tell", "notice.show", "drain.set",
    "orphans.fence", "orphans.clean", "orphans.journal",
    "bill.close", "stretch.claim",
    "apply.commit",
    "draw.open", "draw.enter", "draw.close", "draw.run", "draw.pass", "draw.show", "grants.export",
    "contract.wish", "contract.draft", "contract.sign", "contract.withdraw",
    "subsidy.decide",
    "provision.prepared", "booking.cancel", "booking.move",
    "round.claim", "round.done", "meter.keep", "meter.waive",
    "outage.add", "outage.keep", "outage.claim", "outage.credit", "outage.settle",
})
"""Every side effect there is. A call that is not in here is refused at run time and by a test."""


def effect(name: str, act: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Do `act`, which changes something outside this process, between its two failpoints."""
    if name not in NAMES:
        raise LookupError(f"effect {name!r} is not in NAMES")
    _failpoint(f"{name}.before")
    done = act(*args, **kwargs)
    _failpoint(f"{name}.after")
    return done


def commit(name: str, store: Store, change: Callable[[Tx], T]) -> T:
    """Run `change` in one transaction and commit it, as one effect."""

    def written() -> T:
        with store.write() as tx:
            return change(tx)

    return effect(name, written)


def _failpoint(point: str) -> None:
    wanted = os.environ.get(VARIABLE)
    if wanted is None:
        return
    if wanted == point:
        os.kill(os.getpid(), signal.SIGKILL)
    if wanted == f"{point}=stop":
        os.environ.pop(VARIABLE)
        # To this very thread: sent to the process, it could let this thread run on for a while.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
