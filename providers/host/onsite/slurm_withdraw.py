"""Taking accounts out of Slurm, many in one go: jobs, associations, reservations, QOS, then the Slurm accounts."""

from collections.abc import Callable

from . import names, slurm, slurm_end
from .config import Config
from .errors import Later, SiteFault

Delete = Callable[[Config, dict[str, str]], dict[str, str]]
Problems = dict[str, Exception]
"""What went wrong, by account."""


def withdraw(config: Config, accounts: list[str]) -> Problems:
    """Everything that Slurm has of these; already gone is success, and what is not ours stays."""
    problems = jobs(config, accounts)
    return problems | each([one for one in accounts if one not in problems], config, delete_accounts)


def jobs(config: Config, accounts: list[str]) -> Problems:
    """Jobs, and what holds their limits: association, reservation and QOS."""
    try:
        problems = slurm_end.gone(config, accounts)
    except (SiteFault, OSError) as error:
        return dict.fromkeys(accounts, error)
    return problems | each([one for one in accounts if one not in problems], config, delete_limits)


def each(accounts: list[str], config: Config, delete: Delete) -> Problems:
    """Delete for all of them; those of which something is left are named one by one."""
    if not accounts:
        return {}
    users = {names.unix(account): account for account in accounts}
    try:
        left = delete(config, users)
    except (SiteFault, OSError) as error:
        return dict.fromkeys(accounts, error)
    return {users[name]: Later(f"still in Slurm: {what} {name}") for name, what in left.items()}


def delete_limits(config: Config, users: dict[str, str]) -> dict[str, str]:
    """Association, reservation and QOS. What is left, by user name."""
    mark = slurm.mark(config)
    mine = [name for name, one in slurm.qos(config, *users).items() if one.mark == mark and name in users]
    bound = tied(config, users)
    slurm.change(config, [f"delete user {','.join(bound)} account={','.join(bound)}"] if bound else [])
    slurm.unreserve(config, users)
    slurm.change(config, [f"delete qos {','.join(sorted(mine))}"] if mine else [])
    left = {name: "QOS" for name, one in slurm.qos(config, *users).items() if one.mark == mark}
    return left | dict.fromkeys(tied(config, users), "association")


def delete_accounts(config: Config, users: dict[str, str]) -> dict[str, str]:
    """The Slurm accounts themselves. What is left, by user name."""
    mine = ours(config, users)
    if not mine:
        return {}
    slurm.change(config, [f"delete account {','.join(mine)}"])
    return dict.fromkeys(ours(config, users), "account")


def ours(config: Config, users: dict[str, str]) -> list[str]:
    known = slurm.accounts(config, *users)
    return sorted(name for name in users if known.get(name) == slurm.mark(config))


def tied(config: Config, users: dict[str, str]) -> list[str]:
    """Users that are bound to the Slurm account of their own name."""
    return sorted({one.user for one in slurm.tied(config, *users) if one.account == one.user})
