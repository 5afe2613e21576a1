"""One modest account, for every test that needs one."""

import secrets
from dataclasses import replace

from providers.protocol import Spec

LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


def new_id() -> str:
    return "a" + "".join(secrets.choice(LETTERS) for _ in range(9))


def spec(account: str | None = None, **other: int) -> Spec:
    made = Spec(
        account=account or new_id(),
        containers=2,
        cpu_milli=500,
        memory=256 << 20,
        pids=200,
        storage=48 << 20,
        rate=20_000_000,
        egress=64 << 20,
    )
    return replace(made, **other)  # type: ignore[arg-type]
