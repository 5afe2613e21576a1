"""The account part on a Slurm site: the Unix user with its limits for logins, and a Slurm account of the same name."""

from typing import Any

from . import account as unix
from . import names, slurm, slurm_withdraw
from .config import Config
from .errors import Human, Later
from .spec import Account


def observe(config: Config, account: Account) -> dict[str, Any] | None:
    """Like a plain host's, with the Slurm account; empty when that is missing."""
    seen = unix.observe(config, account)
    if seen is None:
        return None
    name = names.unix(account.id)
    there = placed(config, name) and slurm.accounts(config, name).get(name) == slurm.mark(config)
    return seen | {"slurm_account": name if there else ""}


def ensure(config: Config, account: Account) -> dict[str, Any]:
    """Make or repair both. A Slurm account of this name that is not ours is never taken over: Human."""
    name = names.unix(account.id)
    known = slurm.accounts(config, name)
    refuse_foreign(config, name, known)
    unix.ensure(config, account)
    if not placed(config, name):
        how = f"cluster={slurm.cluster(config)} Description={slurm.mark(config)} Organization=tenure"
        slurm.change(config, [f"add account {name} {how}"])
        refuse_foreign(config, name, slurm.accounts(config, name))
    seen = observe(config, account)
    if seen is None or not seen["slurm_account"]:
        raise Later(f"Slurm account {name}: reads back as missing")
    return seen


def placed(config: Config, name: str) -> bool:
    """Whether there is a Slurm account of this name in this cluster."""
    return slurm.cluster(config) in slurm.clusters(config, name).get(name, ())


def refuse_foreign(config: Config, name: str, known: dict[str, str]) -> None:
    if known.get(name, slurm.mark(config)) != slurm.mark(config):
        remedy = f"rename the Slurm account {name}, or give it the description {slurm.mark(config)} if it is Tenure's"
        raise Human(f"Slurm account {name}: exists already and is not ours ({known[name]!r})", remedy)


def remove(config: Config, account: str) -> None:
    """Take both away; already gone is success, and what is not ours stays."""
    fault = slurm_withdraw.each([account], config, slurm_withdraw.delete_accounts).get(account)
    if fault is not None:
        raise fault
    unix.remove(config, account)
