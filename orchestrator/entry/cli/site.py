"""`tenure site`: what accounts live on. A host is prepared once, with the operator's own login."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.entry.cli import drain, host_key, output, shown
from orchestrator.entry.cli.opening import actor, opened, site_named
from orchestrator.entry.cli.output import CommandError, DryRun, Json, Why, Yes

if TYPE_CHECKING:
    from orchestrator.flows.context import Context
    from orchestrator.store.sites import SiteRow
    from providers.protocol import Finding, Site

app = typer.Typer(help="Sites (站点): the hosts and clusters that accounts live on.")

drain.add_to(app)

Name = Annotated[str, typer.Argument(help="The site's name.")]
As = Annotated[str | None, typer.Option("--as", help="Your own login there: root, or a user with sudo.")]
Identity = Annotated[Path | None, typer.Option(
    help="Your private key for that login, unencrypted; without it your SSH agent is asked.")]


@app.command("list", epilog="Example: tenure site list --json")
def list_(json: Json = False) -> None:
    """All sites, with their places."""
    from orchestrator.store import accounts, capacity, sites

    with opened() as ctx, ctx.store.read() as tx:
        now = ctx.clock()
        found = []
        for row in sites.list_(tx):
            offers = sorted({place.offer for place in sites.list_places(tx, site=row.name)})
            found.append(output.plain_fields(row) | {
                "live_accounts": len(accounts.ids_live_at(tx, row.name)),
                "free": {offer: capacity.free(tx, row.name, offer, now) for offer in offers}})
    output.rows(json, found, ["name", "kind", "tier", "order", "live_accounts", "free", "drained", "held"],
                "no sites: `tenure apply -f site.yaml`")


@app.command(epilog="Example: tenure site check edge-1")
def check(name: Annotated[str | None, typer.Argument(help="One site; all when left out.")] = None,
          json: Json = False) -> None:
    """Look at clock, versions, quotas and space, part by part. Exit code 1 when something is not as it must be."""
    from orchestrator.store import sites

    with opened() as ctx:
        with ctx.store.read() as tx:
            names = [_known(ctx, name).name] if name else [row.name for row in sites.list_(tx)]
        with output.progress("checking sites", len(names)) as progress:
            found = findings(ctx, names, progress.step)
    output.rows(json, [{"site": site} | shown.finding(one) for site, one in found],
                ["site", "part", "subject", "ok", "seen", "remedy"], "no sites: `tenure apply -f site.yaml`")
    if not all(one.ok for _, one in found):
        raise typer.Exit(output.FAILED)


def findings(ctx: "Context", names: list[str], step: object = None) -> list[tuple[str, "Finding"]]:
    """What each site says of itself; all are asked at once, and one that cannot be asked is a finding, too."""
    from concurrent.futures import ThreadPoolExecutor

    from providers.protocol import Finding, NeedsHuman, SiteError

    def ask(name: str) -> list[tuple[str, Finding]]:
        try:
            return [(name, one) for one in ctx.sites.get(name).check()]
        except SiteError as error:
            remedy = error.remedy if isinstance(error, NeedsHuman) else "see that it is up and reachable"
            return [(name, Finding("reachable", False, str(error), remedy))]
        finally:
            if callable(step):
                step()

    with ThreadPoolExecutor(16, "check") as pool:
        return [one for some in pool.map(ask, names) for one in some]


@app.command(epilog="Example: tenure site prepare edge-1 --as root --identity ~/.ssh/id_ed25519 --dry-run")
def prepare(name: Name, user: As = None, identity: Identity = None, why: Why = "", dry_run: DryRun = False,
            yes: Yes = False, json: Json = False) -> None:
    """Put on a host what it needs to enforce ends alone. Safe to repeat, also with live accounts: it upgrades."""
    from providers import registry

    with opened() as ctx:
        row = _known(ctx, name)
        if registry.is_host(row.kind) and "host_key" not in row.settings:
            row = host_key.pin(ctx, row, yes, dry_run, why)
        if not dry_run:
            _note(ctx, "site.preparing", name, why)
        with _bootstrapped(ctx, row, user, identity) as site, output.progress(f"preparing {name}"):
            said = site.prepare(dry_run)
        if not dry_run:
            _note(ctx, "site.prepared", name, why, steps=len(said))
            ctx.sites.forget(name)
    output.answer(json, {"site": name, "dry_run": dry_run, "steps": said}, *(said or ["nothing to do"]))


@app.command(epilog="Example: tenure site remove edge-1 --as root --identity ~/.ssh/id_ed25519")
def remove(name: Name, user: As = None, identity: Identity = None, why: Why = "", dry_run: DryRun = False,
           yes: Yes = False, json: Json = False) -> None:
    """Take everything of Tenure's off a host. Refused while accounts are there; the site gets none from then on."""
    from orchestrator.store import accounts, journal, sites

    with opened() as ctx:
        row = _known(ctx, name)
        with ctx.store.read() as tx:
            live = accounts.ids_live_at(tx, name)
        if live:
            raise CommandError(f"site {name} has {output.count(len(live), 'live account')}: drain it and wait, or "
                               "reclaim them")
        if not dry_run:
            output.confirm(f"Take everything of Tenure's off {name}?", yes)
            with ctx.store.write() as tx:
                sites.drain(tx, name, True)
                journal.write(tx, "site.removing", name, actor(), why)
        with _bootstrapped(ctx, row, user, identity) as site, output.progress(f"clearing {name}"):
            said = site.unprepare(dry_run)
        if not dry_run:
            _note(ctx, "site.removed", name, why, steps=len(said))
            ctx.sites.forget(name)
    output.answer(json, {"site": name, "dry_run": dry_run, "steps": said}, *(said or ["nothing to do"]))


def _note(ctx: "Context", action: str, name: str, why: str, steps: int | None = None) -> None:
    from orchestrator.store import journal

    with ctx.store.write() as tx:
        journal.write(tx, action, name, actor(), why, steps=steps)


def _known(ctx: "Context", name: str) -> "SiteRow":
    with ctx.store.read() as tx:
        return site_named(tx, name)


@contextmanager
def _bootstrapped(ctx: "Context", row: "SiteRow", user: str | None, identity: Path | None) -> Iterator["Site"]:
    """The site, reached once with the operator's own login, which is kept nowhere."""
    from orchestrator.store import sites
    from providers import registry

    with ctx.store.read() as tx:
        secrets = sites.secrets(tx, row.name)
    settings = dict(row.settings)
    if registry.is_host(row.kind) and user is not None:
        settings["bootstrap_user"] = user
    if identity is not None:
        secrets["bootstrap_key"] = _private_key(identity)
    site = registry.connect(row.kind, row.name, settings, secrets)
    try:
        yield site
    finally:
        site.close()


def _private_key(file: Path) -> str:
    """The key in OpenSSH's unencrypted form, as the site's side takes it."""
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
        load_ssh_private_key,
    )

    try:
        held = file.expanduser().read_bytes()
    except OSError as error:
        raise CommandError(f"--identity {file}: cannot be read: {error.strerror}") from error
    load = load_ssh_private_key if b"OPENSSH PRIVATE KEY" in held else load_pem_private_key
    password = None
    for _ in range(2):
        try:
            key = load(held, password)
            return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
        except TypeError:
            if not os.isatty(0):
                break
            password = getpass.getpass(f"Passphrase of {file}: ").encode()
        except ValueError:
            # Without `from`: some parsers quote the key's text in their message.
            raise CommandError(f"--identity {file}: not a private key, or the passphrase is wrong") from None
    raise CommandError(f"--identity {file}: it has a passphrase; load it into your SSH agent and leave --identity out")
