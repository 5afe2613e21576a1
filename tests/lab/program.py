"""The on-site program at the lab's site: shipped file, configuration, sudoers, the holders' part of sshd's settings."""

import io
import json
import os
import zipfile
from pathlib import Path

from tests.lab.place import Place
from tests.lab.shell import run, start, stop, until

SOURCES = Path(__file__).resolve().parents[2] / "providers/host/onsite"
MAIN = "import sys\n\nfrom onsite.__main__ import main\n\nsys.exit(main(sys.argv[1:]))\n"
MODEL = "tiny"

HOLDERS = """\
Match Group {group}
    AuthorizedKeysFile none
    TrustedUserCAKeys {keys}/holders_ca.pub
    AuthorizedPrincipalsFile {principals}/%u
    ForceCommand {gate}
    DisableForwarding yes
    PermitUserRC no
Match all
"""
SUDOERS = """\
Defaults:{operator} !requiretty, !pam_session
Defaults:%{group} !requiretty, !pam_session, env_keep += "SSH_ORIGINAL_COMMAND TERM"
{operator} ALL=(root) NOPASSWD: {serve}
%{group} ALL=(root) NOPASSWD: {gate}
"""


def argv(place: Place, command: str) -> list[str]:
    program, config = place.path("lib/tenure-site.pyz"), place.path("etc/site.json")
    return ["/usr/bin/python3", "-I", "-S", str(program), "--config", str(config), command]


def ship(place: Place) -> bool:
    """Put the program there as one file; True when that changed it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py"), MAIN)
        for source in sorted(SOURCES.glob("*.py")):
            archive.writestr(zipfile.ZipInfo(f"onsite/{source.name}"), source.read_bytes())
    target = place.path("lib/tenure-site.pyz")
    if target.exists() and target.read_bytes() == packed.getvalue():
        return False
    aside = target.with_suffix(".new")
    aside.write_bytes(packed.getvalue())
    os.replace(aside, target)
    return True


def configure(place: Place) -> None:
    """Configuration, sudoers and sshd's drop-in."""
    principals, models = place.path("etc/principals"), place.path("models")
    for folder in (principals, models / MODEL):
        folder.mkdir(parents=True, exist_ok=True)
    (models / MODEL / "weights").write_text("a model's weights\n")
    config = {
        "site": place.name,
        "state": str(place.path("state")),
        "run": str(place.run),
        "pool": str(place.path("pool")),
        "uid_min": place.uid_min,
        "uid_max": place.uid_max,
        "prefix": "tn-",
        "group": place.group,
        "principals": str(principals),
        "net_range": place.net_range,
        "nft_table": place.nft_table,
        "cgroup": place.cgroup,
        "netns_of_site": place.netns,
        "podman": {"runtime": "runc", "imagestore": str(place.path("images"))},
        "models": {MODEL: str(models / MODEL)},
        "masquerade": True,
    }
    place.path("etc/site.json").write_text(json.dumps(config, indent=1))
    serve, gate = (" ".join(argv(place, command)) for command in ("serve", "gate"))
    place.sudoers.write_text(SUDOERS.format(operator=place.operator, group=place.group, serve=serve, gate=gate))
    place.sudoers.chmod(0o440)
    run(["visudo", "--check", "--quiet", "--file", str(place.sudoers)])
    drop_in = place.path("etc/sshd_config.d/50-tenure.conf")
    keys = place.path("keys")
    drop_in.write_text(
        HOLDERS.format(group=place.group, keys=keys, principals=principals, gate=f"/usr/bin/sudo -n {gate}")
    )


def start_reaper(place: Place) -> None:
    start(place, "reaper", argv(place, "reaper"))
    until(lambda: (place.run / "reaper").exists(), "the reaper's first look")


def stop_reaper(place: Place) -> None:
    stop(place, "reaper")
    (place.run / "reaper").unlink(missing_ok=True)
