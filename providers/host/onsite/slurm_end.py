"""Ending accounts in Slurm, many at once: nothing more is submitted, jobs are cancelled and killed, and what they used
is read from Slurm's books; and what Slurm still has of an account."""

import time
from collections.abc import Callable, Iterable
from functools import partial

from . import ledger, names, processes, slurm, slurm_network, slurm_usage
from .config import Config
from .errors import Later, SiteFault
from .run import run

ENDING = 20.0
"""Seconds in which cancelled jobs must have left the queue; an epilog may take its time."""
EVERY = 0.1


def close(config: Config, accounts: list[str]) -> dict[str, Exception]:
    """Fence these in Slurm; what went wrong, by account. Their processes on this host have been killed already: jobs
    that started meanwhile, and those on other nodes, go now."""
    if not accounts:
        return {}
    users = {names.unix(account): account for account in accounts}
    uids = ledger.entries(config)
    problem = attempt(lambda: cancel(config, users))
    # slurmctld may be away and slurmdbd not: what can be shut is shut
    problem = attempt(lambda: shut(config, users)) or problem
    if problem is None:
        problem = attempt(lambda: cancel(config, users))
    killed = attempt(lambda: processes.kill(config, {account: uids.get(account) for account in accounts}))
    problem = problem or killed
    return dict.fromkeys(accounts, problem) if problem is not None else {}


def attempt(step: Callable[[], None]) -> Exception | None:
    """Do it; what went wrong."""
    try:
        step()
    except (SiteFault, OSError) as error:
        return error
    return None


def cancel(config: Config, users: dict[str, str]) -> None:
    """SIGKILL to every process of every job, on whichever node, without Slurm's wait for a job that ignores SIGTERM;
    what is pending is cancelled."""
    present = known(config, users)
    left = slurm.jobs(config, present)
    ids = [job for rows in left.values() for job, state in rows if state != "COMPLETING"]
    if not ids:
        return
    running = [job for rows in left.values() for job, state in rows if state not in ("PENDING", "COMPLETING")]
    for chunk in chunks(running):
        slurm.ask(config, "scancel", "--full", "--signal=KILL", *chunk, check=False)
    for chunk in chunks(ids):
        slurm.ask(config, "scancel", *chunk, check=False)
    again = slurm.jobs(config, present)
    if stayed := [job for rows in again.values() for job, state in rows if state == "PENDING"]:
        raise Later(f"still in the queue after scancel: {', '.join(stayed[:20])}")


def known(config: Config, users: Iterable[str]) -> list[str]:
    """Those that this host has as users: squeue refuses a whole list for one that it does not know."""
    import pwd

    there = {user.pw_name for user in pwd.getpwall()}
    return sorted(there.intersection(users))


def shut(config: Config, users: dict[str, str]) -> None:
    """Nothing more is submitted: the QOS overrides the account's limit and the user's holds beside it, so both."""
    mark = slurm.mark(config)
    mine = sorted(name for name, one in slurm.qos(config, *users).items() if one.mark == mark and name in users)
    bound = sorted({one.user for one in slurm.tied(config, *users) if one.user in users and one.account == one.user})
    steps = [f"modify qos where name={','.join(mine)} set GrpSubmitJobs=0"] if mine else []
    both = ",".join(bound)
    steps += [f"modify user where name={both} account={both} set MaxSubmitJobs=0"] if bound else []
    slurm.change(config, steps)
    open_still = [name for name, one in (slurm.qos(config, *mine) if mine else {}).items() if one.submit != 0]
    open_still += [one.user for one in slurm.tied(config, *bound) if one.account == one.user and one.submit != 0]
    if open_still:
        raise Later(f"may still submit jobs: {', '.join(open_still[:20])}")


def gone(config: Config, accounts: list[str]) -> dict[str, Exception]:
    """Cancel what there is and wait until Slurm has forgotten it; then read the books while they can be read. What
    went wrong, by account: a job that will not go holds up its own account only."""
    users = {names.unix(account): account for account in accounts}
    until = time.monotonic() + ENDING
    cancel(config, users)
    problems: dict[str, Exception] = {}
    while left := slurm.jobs(config, known(config, users)):
        if time.monotonic() >= until:
            for user, rows in left.items():
                shown = ", ".join(job for job, _ in rows)
                problems[users[user]] = Later(f"jobs still in Slurm after {ENDING:g} s: {shown}")
            break
        time.sleep(EVERY)
        cancel(config, users)
    for account in accounts:
        if account not in problems and (fault := attempt(partial(settle, config, account, until))) is not None:
            problems[account] = fault
    return problems


def settle(config: Config, account: str, until: float) -> None:
    """Close the account's meter: every job's end is in the books, and what they say is kept."""
    while not slurm_usage.settle(config, account):
        if time.monotonic() >= until:
            raise Later(f"{account}: its jobs' ends are not in Slurm's books yet")
        time.sleep(EVERY)


def traces(config: Config, account: str) -> list[str]:
    """What Slurm has of the account. What bears its name and is not ours is not listed."""
    name, mark = names.unix(account), slurm.mark(config)
    jobs = slurm.jobs(config, known(config, [name])).get(name, [])
    found = [f"job {job} ({state})" for job, state in jobs]
    found += [f"association {one.account}/{one.user}" for one in slurm.tied(config, name) if one.account == name]
    found += [f"QOS {name}"] if name in (rows := slurm.qos(config, name)) and rows[name].mark == mark else []
    held = slurm.reservations(config, name).get(name) if slurm.of(config).reserves else None
    found += [f"reservation {name}"] if held is not None and held.users == name else []
    found += [f"account {name}"] if slurm.accounts(config, name).get(name) == mark else []
    found += [f"nft map {one}" for one in slurm_network.traces(config, account)]
    kept = slurm_usage.meter(config, account)
    return found + ([str(kept)] if kept.exists() else [])


def accounts(config: Config) -> set[str]:
    """Ids of all accounts of which Slurm has anything of ours."""
    mark = slurm.mark(config)
    ours = {name for name, text in slurm.accounts(config).items() if text == mark}
    ours |= {name for name, one in slurm.qos(config).items() if one.mark == mark}
    return {account for name in ours if (account := names.of(name))}


def check(config: Config) -> list[tuple[str, bool, str, str]]:
    """Each daemon and setting that the kind relies on: subject, whether it is fit, what was seen, remedy."""
    found = []
    clusters = ["sacctmgr", "--noheader", "--parsable2", "list", "cluster", "format=cluster"]
    for subject, argv, mark, remedy in (
        ("slurmctld", ["scontrol", "ping"], " UP", "start slurmctld"),
        ("slurmdbd", clusters, "", "start slurmdbd"),
        ("munge", ["munge", "--no-input", f"--socket={slurm.of(config).munge}"], "MUNGE:", "start munged"),
    ):
        try:
            ran = run(["env", f"SLURM_CONF={slurm.of(config).conf}", *argv], timeout=slurm.PATIENCE, check=False)
            ok = ran.code == 0 and mark in ran.out
            seen = "answers" if ok else ran.said
        except SiteFault as error:
            ok, seen = False, str(error)
        found.append((subject, ok, seen, remedy))
    return found + enforced(config)


def enforced(config: Config) -> list[tuple[str, bool, str, str]]:
    """What slurm.conf must say for limits to hold and to be remembered."""
    try:
        rows = (row.partition("=") for row in slurm.ask(config, "scontrol", "show", "config").out.splitlines())
    except SiteFault as error:
        return [("slurm.conf", False, str(error), "start slurmctld")]
    said = {name.strip(): value.strip() for name, _, value in rows}
    held = {word for word in said.get("AccountingStorageEnforce", "").lower().split(",") if word}
    needed = {"associations", "limits", "qos", "safe"}
    counted = set(said.get("AccountingStorageTRES", "").split(","))
    chips = {f"gres/{name}" for name in slurm.of(config).chips.values()}
    licences = said.get("Licenses", "")
    found = [
        ("AccountingStorageEnforce", needed <= held, ",".join(sorted(held)), "set it to associations,limits,qos,safe"),
        ("AccountingStorageTRES", chips <= counted, ",".join(sorted(counted)), f"add {','.join(sorted(chips))}"),
    ]
    extra = {word for word in said.get("GresTypes", "").split(",") if word and word != "(null)"}
    extra -= set(slurm.of(config).chips.values())
    remedy = f"name them in the site's chips, or accounts have them without limit: {', '.join(sorted(extra))}"
    found.append(("GresTypes", not extra, said.get("GresTypes", ""), remedy))
    licence = slurm.of(config).licence
    if licence and not slurm.of(config).set_aside:
        there = any(one.split(":")[0] == licence for one in licences.split(","))
        found.append((f"licence {licence}", there, licences or "none", f"add Licenses={licence}:1000000 to slurm.conf"))
    return found


def chunks(ids: list[str], size: int = 500) -> Iterable[list[str]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))
