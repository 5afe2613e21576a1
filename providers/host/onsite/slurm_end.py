"""Ending accounts in Slurm, many at once: nothing more is submitted, jobs are cancelled and killed, and what they used
is read from Slurm's books; and what Slurm still has of an account."""

import time
from collections.abc import Callable, Iterable

from . import names, slurm, slurm_network, slurm_reserved, slurm_usage
from .config import Config
from .errors import Later, SiteFault
from .run import run

ENDING = 20.0
"""Seconds in which cancelled jobs must have left the queue, as an epilog may take its time; and again in which the
books must know it."""
EVERY = 0.1
Step = Callable[[Config, dict[str, str]], dict[str, str]]
"""Takes users with their accounts, and says what is left to do, by user."""
Problems = dict[str, Exception]
"""What went wrong, by account."""


def close(config: Config, accounts: list[str]) -> Problems:
    """Fence these in Slurm; what went wrong, by account. Their processes on this host have been killed already."""
    users = {names.unix(account): account for account in accounts}
    problems = attempt(cancel, config, users)
    # slurmctld may be away and slurmdbd not: what can be shut is shut
    problems = attempt(shut, config, users) | problems
    # nobody submits any more: what came in between goes now
    return problems | attempt(cancel, config, {user: one for user, one in users.items() if one not in problems})


def attempt(step: Step, config: Config, users: dict[str, str]) -> Problems:
    """Do it for all of them; what went wrong, by account. A step that fails has failed for all."""
    try:
        left = step(config, users) if users else {}
    except (SiteFault, OSError) as error:
        return dict.fromkeys(users.values(), error)
    return {users[user]: Later(what) for user, what in left.items()}


def cancel(config: Config, users: dict[str, str]) -> dict[str, str]:
    """SIGKILL to every process of every job, on whichever node, without Slurm's wait for a job that ignores SIGTERM;
    what is pending is cancelled. What is left, by user: a job of which only the rest is cleared up is over."""
    left = slurm.jobs(config, users)
    if not any(unended(rows) for rows in left.values()):
        return {}
    kill(config, left)
    stayed = {user: unended(rows) for user, rows in slurm.jobs(config, users).items()}
    return {user: f"not ended by scancel: {told(rows)}" for user, rows in stayed.items() if rows}


def kill(config: Config, jobs: dict[str, list[slurm.Job]]) -> None:
    """Tell Slurm so of these, by user; what became of them is for the caller to read back."""
    left = [row for rows in jobs.values() for row in unended(rows)]
    for chunk in chunks([job for job, state in left if state != "PENDING"]):
        slurm.ask(config, "scancel", "--full", "--signal=KILL", *chunk, check=False)
    for chunk in chunks([job for job, _ in left]):
        slurm.ask(config, "scancel", *chunk, check=False)


def unended(rows: list[slurm.Job]) -> list[slurm.Job]:
    """Those that run, wait, or will run again, wherever they are."""
    return [(job, state) for job, state in rows if state != "COMPLETING"]


def told(rows: list[slurm.Job]) -> str:
    """The first few, with their states."""
    return ", ".join(f"job {job} ({state})" for job, state in rows[:20])


def shut(config: Config, users: dict[str, str]) -> dict[str, str]:
    """Nothing more is submitted: the QOS overrides the account's limit and the user's holds beside it, so both. Who may
    still submit, by user."""
    mine, bound = slurm.marked(config, users), slurm.bound(config, users)
    steps = [f"modify qos where name={','.join(mine)} set GrpSubmitJobs=0"] if mine else []
    both, here = ",".join(bound), slurm.cluster(config)
    steps += [f"modify user where name={both} account={both} cluster={here} set MaxSubmitJobs=0"] if bound else []
    slurm.change(config, steps)
    open_still = [name for name, one in slurm.marked(config, mine).items() if one.submit != 0]
    open_still += [one.user for one in slurm.tied(config, *bound) if one.account == one.user and one.submit != 0]
    return {user: f"{user} may still submit jobs" for user in open_still}


def gone(config: Config, accounts: list[str]) -> Problems:
    """Cancel what there is and wait until Slurm has forgotten it; then read the books while they can be read. What
    went wrong, by account: a job that will not go holds up its own account only."""
    users = {names.unix(account): account for account in accounts}
    until = time.monotonic() + ENDING
    problems: Problems = {}
    while left := slurm.jobs(config, users):
        kill(config, left)
        if time.monotonic() >= until:
            problems = {users[user]: Later(f"still in Slurm after {ENDING:g} s: {told(rows)}")
                        for user, rows in left.items()}
            break
        time.sleep(EVERY)
    return problems | settle(config, [account for account in accounts if account not in problems])


def settle(config: Config, accounts: list[str]) -> Problems:
    """Close these accounts' meters: every job's end is in the books, and what they say is kept. What went wrong, by
    account. All are asked for in one go, at least once, and again only while an end is missing."""
    until = time.monotonic() + ENDING
    left = [account for account in accounts if not slurm_usage.meter(config, account).exists()]
    while left:
        try:
            problems = slurm_usage.settle(config, left)
        except (SiteFault, OSError) as error:
            return dict.fromkeys(left, error)
        left = list(problems)
        if not left or time.monotonic() >= until:
            return problems
        time.sleep(EVERY)
    return {}


def traces(config: Config, account: str) -> list[str]:
    """What Slurm has of the account. What bears its name and is not ours is not listed."""
    name = names.unix(account)
    found = [f"job {job} ({state})" for job, state in slurm.jobs(config, [name]).get(name, [])]
    found += [f"association {one}/{one}" for one in slurm.bound(config, [name])]
    found += [f"QOS {one}" for one in slurm.marked(config, [name])]
    found += [f"reservation {one}" for one in slurm_reserved.held_by(config, {name})]
    found += [f"account {one}" for one in slurm.ours(config, name)]
    found += [f"nft map {one}" for one in slurm_network.traces(config, account)]
    kept = slurm_usage.meter(config, account)
    return found + ([str(kept)] if kept.exists() else [])


def accounts(config: Config) -> set[str]:
    """Ids of all accounts of which Slurm has anything of ours."""
    mark = slurm.mark(config)
    ours = set(slurm.ours(config))
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
    return [*found, chips(config), *enforced(config)]


def chips(config: Config) -> tuple[str, bool, str, str]:
    """Each chip is a GRES of its own, as Slurm counts one GRES as one thing."""
    given = slurm.of(config).chips
    twice = sorted(chip for chip, gres in given.items() if list(given.values()).count(gres) > 1)
    seen = ", ".join(f"{chip} is {gres}" for chip, gres in sorted(given.items())) or "none"
    return "chips", not twice, seen, f"give each of these a GRES of its own, in gres.conf too: {', '.join(twice)}"


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
