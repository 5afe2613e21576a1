"""The on-site program at the lab's site: the files that `site prepare` puts on a host, written locally."""

import json
import os
from pathlib import Path
from typing import Any

from providers.host import files, settings
from tests.lab.place import Place
from tests.lab.shell import run, start, stop, until

MODEL = "tiny"


def described(place: Place) -> dict[str, Any]:
    """The site as its settings describe it, with its Slurm where it is a cluster's."""
    own = place.path("slurm.json")
    return host_described(place) | ({"slurm": json.loads(own.read_text())} if own.exists() else {})


def host_described(place: Place) -> dict[str, Any]:
    """The site as its settings describe it. Its paths are the lab's own, so that labs stay apart."""
    return {
        "address": place.address,
        "port": 22,
        "host_key": " ".join(place.path("keys/host.pub").read_text().split()[:2]),
        "user": place.operator,
        "group": place.group,
        "pool": str(place.path("pool")),
        "net_range": place.net_range,
        "uid_min": place.uid_min,
        "uid_max": place.uid_max,
        "nft_table": place.nft_table,
        "cgroup": place.cgroup,
        "imagestore": str(place.path("images")),
        "models": {MODEL: str(models(place))},
        "paths": {
            "lib": str(place.path("lib")),
            "etc": str(place.path("etc")),
            "state": str(place.path("state")),
            "run": str(place.run),
            "sudoers": str(place.sudoers),
            "sshd_config": str(place.path("etc/sshd_config")),
            "sshd_drop_in": str(place.path("etc/sshd_config.d/50-tenure.conf")),
            "sshd_pid": str(place.path("pids/sshd.pid")),
        },
    }


def models(place: Place) -> Path:
    """The one model folder of the site."""
    folder = place.path("models") / MODEL
    if not (folder / "weights").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weights").write_text("a model's weights\n")
    return folder


def host(place: Place) -> settings.HostSettings:
    return settings.parse(place.name, described(place))


def argv(place: Place, command: str) -> list[str]:
    return files.command(host(place), command)


def launcher(place: Place) -> str:
    return files.launcher(host(place))


def install(place: Place) -> bool:
    """Write the files with the lab's own keys; True when what the reaper runs has changed."""
    on = host(place)
    for folder in files.folders(on):
        os.makedirs(folder.path, exist_ok=True)
        os.chmod(folder.path, folder.mode)
    ca, operator = (" ".join(place.path(f"keys/{name}.pub").read_text().split()[:2])
                    for name in ("holders_ca", "operator"))
    changed = [one.path for one in files.files(on, ca, operator) if write(one)]
    run(["visudo", "--check", "--quiet", "--file", str(place.sudoers)])
    return bool({files.launcher(on), files.config(on)} & set(changed))


def write(file: files.File) -> bool:
    """Put the file there whole; True when that changed it."""
    target = Path(file.path)
    if target.exists() and target.read_bytes() == file.raw and target.stat().st_mode & 0o7777 == file.mode:
        return False
    aside = target.with_name(f"{target.name}.new")
    aside.write_bytes(file.raw)
    aside.chmod(file.mode)
    os.replace(aside, target)
    return True


def start_reaper(place: Place) -> None:
    start(place, "reaper", argv(place, "reaper"))
    until(lambda: (place.run / "reaper").exists(), "the reaper's first look")


def stop_reaper(place: Place) -> None:
    stop(place, "reaper")
    (place.run / "reaper").unlink(missing_ok=True)
