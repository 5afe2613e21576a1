"""`tenure doctor`: what this machine and this home lack, each with what to do about it."""

import os
import shutil
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from orchestrator.entry.cli import failures, output, shown
from orchestrator.entry.cli.opening import home, opened
from orchestrator.entry.cli.output import Json

if TYPE_CHECKING:
    from orchestrator.flows.context import Context
    from providers.protocol import Finding

LEAST_FREE = 1 << 30
MOST_SKEW = 2.0


def add_to(app: typer.Typer) -> None:
    """Put it at the top of the tree."""
    app.command(epilog="Example: tenure doctor")(doctor)


def doctor(json: Json = False) -> None:
    """Look at home, keyring, database, Pulumi, disk, clock and sites. Exit code 1 when something is missing, 3 when an
    account is stuck."""
    from providers.protocol import Finding

    found = [_home(home()), _disk(home()), _pulumi()]
    stuck = 0
    with output.progress("looking"):
        try:
            with opened() as ctx:
                found += _inside(ctx)
                stuck = _stuck(ctx)
        except Exception as error:
            failure = failures.explain(error)
            if failure is None:
                raise
            seen, _, remedy = failure.message.partition("; do: ")
            found.append(Finding("database", False, seen, remedy or "what is seen says it"))
    output.rows(json, [shown.finding(one) for one in found], ["subject", "ok", "seen", "remedy"], "")
    if not all(one.ok for one in found):
        raise typer.Exit(output.FAILED)
    if stuck:
        output.note(f"{stuck} accounts are stuck: tenure account list --stuck")
        raise typer.Exit(output.STUCK)


def _inside(ctx: "Context") -> "list[Finding]":
    from orchestrator.entry.cli.site import findings
    from orchestrator.store import sites
    from providers.protocol import Finding

    found = [_keyring(home()), _clock(ctx), _mail(ctx), *_oidc(ctx)]
    with ctx.store.read() as tx:
        names = [row.name for row in sites.list_(tx)]
    found.append(Finding("sites", bool(names), f"{len(names)}", "tenure apply -f site.yaml"))
    return found + [Finding(f"site {site}: {shown.what(one)}", one.ok, one.seen, one.remedy)
                    for site, one in findings(ctx, names)]


def _home(folder: Path) -> "Finding":
    from orchestrator.store.engine import unwritable
    from providers.protocol import Finding

    try:
        held = folder.stat()
    except OSError as error:
        return Finding("home", False, f"{folder}: {error.strerror}", "tenure init")
    closed = not stat.S_IMODE(held.st_mode) & 0o077
    own = held.st_uid == os.geteuid()
    if why := unwritable(folder):
        seen, _, remedy = why.partition("; do: ")
        return Finding("home", False, f"{folder} cannot be written: {seen}", remedy)
    return Finding("home", closed and own, f"{folder}, mode {stat.S_IMODE(held.st_mode):04o}, owner {held.st_uid}",
                   f"chmod 700 {folder}" if own else f"run as user {held.st_uid}, or chown the folder")


def _keyring(folder: Path) -> "Finding":
    from providers.protocol import Finding

    file = folder / "keyring.json"
    mode = stat.S_IMODE(file.stat().st_mode)
    return Finding("keyring", not mode & 0o077, f"{file}, mode {mode:04o}; opens this database", f"chmod 600 {file}")


def _disk(folder: Path) -> "Finding":
    from providers.protocol import Finding

    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    return Finding("disk", free >= LEAST_FREE, f"{free / (1 << 30):.1f} GiB free at {there}",
                   "make room: with a full disk nothing is acknowledged")


def _pulumi() -> "Finding":
    from providers.protocol import Finding
    from stacks import cli

    found = cli.find()
    seen = f"{found} {cli.VERSION}" if found else f"none of version {cli.VERSION} on PATH or in {cli.cache()}"
    return Finding("Pulumi CLI", found is not None, seen, "python -m stacks.install")


def _clock(ctx: "Context") -> "Finding":
    """Ours beside the database's, and whether ours stands still in the past of a build."""
    from sqlalchemy import text

    from providers.protocol import Finding

    question = "SELECT strftime('%s','now')" if ctx.store.is_sqlite else "SELECT extract(epoch FROM clock_timestamp())"
    with ctx.store.read() as tx:
        before = datetime.now(UTC).timestamp()
        there = float(tx.execute(text(question)).scalar_one())
        after = datetime.now(UTC).timestamp()
    # SQLite's clock is this machine's, in whole seconds.
    offset = 0.0 if ctx.store.is_sqlite and there <= after < there + 2 else there - (before + after) / 2
    return Finding("clock", abs(offset) <= MOST_SKEW, f"{output.shown(datetime.now(UTC))}, the "
                   f"database's {offset:+.3f} s off", "set the clocks of both machines (NTP)")


def _oidc(ctx: "Context") -> "list[Finding]":
    """Whether the OpenID provider can be asked, where one is set."""
    from orchestrator.entry.http.oidc import OidcError, Provider
    from providers.protocol import Finding

    settings = ctx.settings.oidc
    if not settings.issuer:
        return []
    try:
        return [Finding("OpenID provider", True, Provider(settings, "", ctx.clock).look(), "")]
    except OidcError as error:
        return [Finding("OpenID provider", False, f"{settings.issuer}: {error}",
                        "see `oidc` in tenure.yaml; tokens sign in meanwhile")]


def _mail(ctx: "Context") -> "Finding":
    """Whether the mail server lets us in; without one, that nobody is written to."""
    from orchestrator.flows.delivery.smtp import ServerAway, Session
    from providers.protocol import Finding

    settings = ctx.settings.mail
    if settings is None:
        return Finding("mail", True, "none is set up: holders get no mail, platforms are told by callbacks", "")
    try:
        with Session(settings, ctx.home) as session:
            return Finding("mail", True, session.check(), "")
    except ServerAway as away:
        return Finding("mail", False, str(away), "see `mail:` in tenure.yaml; tenure mail test ADDRESS")


def _stuck(ctx: "Context") -> int:
    from orchestrator.store.gauges import gauges

    with ctx.store.read() as tx:
        return gauges(tx, ctx.clock()).stuck


