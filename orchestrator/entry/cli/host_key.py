"""Pinning a host's key: it is asked for, shown with its fingerprint, and pinned after a yes. Never by itself."""

import base64
import hashlib
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.entry.cli import output
from orchestrator.entry.cli.opening import actor
from orchestrator.entry.cli.output import CommandError

if TYPE_CHECKING:
    from orchestrator.flows.context import Context
    from orchestrator.store.sites import SiteRow

PREFERRED = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
TIMEOUT = 20
IN_YAML = "write `host_key:` into the site's YAML and apply it"


def pin(ctx: "Context", site: "SiteRow", yes: bool, dry_run: bool, why: str = "") -> "SiteRow":
    """Show the operator what the host offers; after a yes it is the one key that the site may ever show."""
    from orchestrator.store import journal, sites

    if yes:
        raise CommandError(f"site {site.name}: no host key is pinned, and --yes cannot vouch for one: {IN_YAML}, or "
                           "run this without --yes and compare")
    address, port = str(site.settings["address"]), int(str(site.settings.get("port", 22)))
    line = scan(address, port)
    output.note(f"{address}:{port} shows this host key:\n  {line}\n  {fingerprint(line)}\n"
                "Compare it on the host's console: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub")
    question = "Is it the host's? (Nothing is pinned now.)" if dry_run else "Is it the host's, and shall it be pinned?"
    output.confirm(question, False, otherwise=IN_YAML)
    pinned = replace(site, settings={**site.settings, "host_key": line})
    if dry_run:
        return pinned
    with ctx.store.write() as tx:
        sites.put(tx, pinned)
        journal.write(tx, "site.pinned", site.name, actor(), why, fingerprint=fingerprint(line))
    ctx.sites.forget(site.name)
    return pinned


def scan(address: str, port: int) -> str:
    """`type base64` of the best key that the host offers."""
    program = shutil.which("ssh-keyscan")
    if program is None:
        raise CommandError("ssh-keyscan is not on this machine: install openssh-client, or write `host_key:` into the "
                           "site's YAML")
    try:
        ran = subprocess.run([program, "-T", "5", "-p", str(port), "--", address], capture_output=True, text=True,
                             timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{address}:{port} does not answer: see that the host is up and its port open") from error
    found = {words[1]: words[2] for line in ran.stdout.splitlines()
             if not line.startswith("#") and len(words := line.split()) >= 3}
    for kind in PREFERRED:
        if kind in found:
            return f"{kind} {found[kind]}"
    raise CommandError(f"{address}:{port} shows no host key: see that an SSH server answers there")


def fingerprint(line: str) -> str:
    """As `ssh-keygen -l` shows it."""
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
