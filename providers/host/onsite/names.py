"""What things of an account are called at the site: everything is named from its id."""

import re
from typing import Any

from .config import PREFIX
from .errors import Refused

ID = re.compile(r"a[a-z2-7]{9}")


def check(account: Any) -> str:
    """`account` itself when it is an account id; else Refused."""
    if not isinstance(account, str) or not ID.fullmatch(account):
        raise Refused(f"not an account id: {account!r}"[:200])
    return account


def unix(account: str) -> str:
    """The Unix user, its own group, and its principals file."""
    return PREFIX + check(account)


def netns(account: str) -> str:
    """The network namespace, as `ip netns` lists it."""
    return PREFIX + check(account)


def veth(account: str) -> str:
    """The site's end of the account's veth pair."""
    return "v" + check(account)


def quota(account: str) -> str:
    """The named nft quota that cuts its egress."""
    return "q_" + check(account)


def counter(account: str) -> str:
    """The named nft counter of the egress that has passed."""
    return "n_" + check(account)


def chain(account: str) -> str:
    """The nft chain that counts its egress."""
    return "c_" + check(account)


def of(name: str) -> str | None:
    """The account id in a Unix user's or network namespace's name, or None when it is not one of ours."""
    bare = name.removeprefix(PREFIX)
    return bare if bare != name and ID.fullmatch(bare) else None
