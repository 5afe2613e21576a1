"""Taking accounts out of Slurm, many in one go: jobs, associations, reservations, QOS, then the Slurm accounts."""

from . import names, slurm, slurm_end, slurm_reserved
from .config import Config
from .errors import SiteFault
from .slurm_end import Problems, Step


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


def each(accounts: list[str], config: Config, delete: Step) -> Problems:
    """Delete for all of them; those of which something is left are named one by one."""
    return slurm_end.attempt(delete, config, {names.unix(account): account for account in accounts})


def delete_limits(config: Config, users: dict[str, str]) -> dict[str, str]:
    """Association, reservation and QOS. What is left, by user."""
    mine = ",".join(slurm.marked(config, users))
    both, here = ",".join(slurm.bound(config, users)), slurm.cluster(config)
    slurm.change(config, [f"delete user {both} account={both} cluster={here}"] if both else [])
    held = slurm_reserved.unreserve(config, users)
    slurm.change(config, [f"delete qos {mine}"] if mine else [])
    left = held | {name: f"still in Slurm: QOS {name}" for name in slurm.marked(config, users)}
    return left | {name: f"still in Slurm: association {name}" for name in slurm.bound(config, users)}


def delete_accounts(config: Config, users: dict[str, str]) -> dict[str, str]:
    """The Slurm accounts themselves. What is left, by user."""
    mine, here = slurm.ours(config, *users), slurm.cluster(config)
    if not mine:
        return {}
    slurm.change(config, [f"delete account name={','.join(mine)} cluster={here}"])
    # out of this cluster; the account itself goes once it is in none
    bare = sorted(set(mine) - slurm.clusters(config, *mine).keys())
    slurm.change(config, [f"delete account {','.join(bare)}"] if bare else [])
    return {name: f"still in Slurm: account {name}" for name in slurm.ours(config, *mine)}
