"""What `prepare` puts on a host, as a pure function of the settings and two public keys."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import jinja2

from providers.host import program, shell
from providers.host.settings import HostSettings

TEMPLATES = Path(__file__).parents[2] / "templates" / "linux"


class File(NamedTuple):
    """One file of root's."""

    path: str
    mode: int
    content: str | bytes

    @property
    def raw(self) -> bytes:
        return self.content.encode() if isinstance(self.content, str) else self.content


class Folder(NamedTuple):
    """One folder of root's."""

    path: str
    mode: int


def launcher(host: HostSettings) -> str:
    """What is run: always of this name, whichever version it starts."""
    return f"{host.paths.lib}/tenure-site"


def version_folder(host: HostSettings) -> str:
    """The program's own folder, named by its version."""
    return f"{host.paths.lib}/{program.version()}"


def config(host: HostSettings) -> str:
    return f"{host.paths.etc}/config.json"


def operator_keys(host: HostSettings) -> str:
    return f"{host.paths.etc}/operator_keys"


def ca(host: HostSettings) -> str:
    return f"{host.paths.etc}/ca.pub"


def principals(host: HostSettings) -> str:
    return f"{host.paths.etc}/principals"


def command(host: HostSettings, what: str) -> list[str]:
    """The on-site program's argv for `serve`, `gate` or `reaper`, as root runs it. -I and -S: no one's environment or
    site-packages has a say, and it starts sooner."""
    return [host.paths.python, "-I", "-S", launcher(host), "--config", config(host), what]


def under_sudo(host: HostSettings, what: str) -> list[str]:
    return [host.paths.sudo, "-n", *command(host, what)]


def folders(host: HostSettings) -> list[Folder]:
    """In the order in which they are made."""
    return [
        Folder(host.paths.lib, 0o755),
        Folder(version_folder(host), 0o755),
        Folder(f"{version_folder(host)}/{program.PACKAGE}", 0o755),
        Folder(host.paths.etc, 0o755),
        Folder(principals(host), 0o755),
        Folder(host.paths.state, 0o700),
        Folder(host.paths.run, 0o711),
    ]


def files(host: HostSettings, ca_public: str, operator_public: str) -> list[File]:
    """All files but the service's unit, in the order in which they are written. The keys are `type base64` lines."""
    values = {
        "user": host.user,
        "group": host.group,
        "ca": ca(host),
        "principals": principals(host),
        "operator_keys": operator_keys(host),
        "operator": operator_public,
        "version": program.version(),
        "folder": version_folder(host),
    }
    plain = {**values, "serve": command(host, "serve"), "gate": command(host, "gate")}
    sudo = {**values, "serve": under_sudo(host, "serve"), "gate": under_sudo(host, "gate")}
    return [
        *sources(host),
        File(config(host), 0o600, render_config(host)),
        File(launcher(host), 0o755, render("launcher.py.j2", plain)),
        File(host.paths.sudoers, 0o440, render("sudoers.j2", plain)),
        File(ca(host), 0o644, f"{ca_public} tenure\n"),
        File(operator_keys(host), 0o644, render("operator_keys.j2", sudo)),
        File(host.paths.sshd_drop_in, 0o644, render("sshd.conf.j2", sudo)),
    ]


def sources(host: HostSettings) -> list[File]:
    """The program itself."""
    below = f"{version_folder(host)}/{program.PACKAGE}"
    return [File(f"{below}/{name}", 0o644, content) for name, content in program.sources().items()]


def unit(host: HostSettings) -> File:
    """The reaper's service, for hosts with systemd."""
    values = {"reaper": command(host, "reaper"), "pool": host.pool, "state": host.paths.state}
    return File(host.paths.unit, 0o644, render("reaper.service.j2", values))


def render_config(host: HostSettings) -> str:
    """The on-site program's configuration."""
    raw = {
        "site": host.site,
        "state": host.paths.state,
        "run": host.paths.run,
        "pool": host.pool,
        "uid_min": host.uid_min,
        "uid_max": host.uid_max,
        "group": host.group,
        "principals": principals(host),
        "net_range": host.net_range,
        "nft_table": host.nft_table,
        "cgroup": host.cgroup,
        "masquerade": host.masquerade,
        "models": dict(host.models),
        "podman": {"runtime": host.runtime, **({"imagestore": host.imagestore} if host.imagestore else {})},
        **({"slurm": {**asdict(host.slurm), "chips": dict(host.slurm.chips)}} if host.slurm else {}),
    }
    return json.dumps(raw, indent=2, sort_keys=True) + "\n"


def render(name: str, values: Mapping[str, object]) -> str:
    return _templates().get_template(name).render(values)


def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # no HTML: every value is checked in `providers.host.settings`
    )
    made.filters["line"] = shell.quoted
    made.filters["command"] = _sudoers
    return made


def _sudoers(argv: list[str]) -> str:
    """As sudoers writes a command: these characters have a meaning there."""
    return " ".join("".join(f"\\{one}" if one in ",:=\\" else one for one in word) for word in argv)
