"""One account's podman: rootful and confined, with storage of its own, seen and started by nobody but the gate.

Layers and logs lie in the account's subvolume, so inside its quota. podman's own records (which containers and layers
there are) lie in the state folder: with them in the subvolume a full quota blocked `podman rm`. overlay's own folder
has to be the real one, as podman unmounts it whenever the last container ends; hence the records are the symlinks.

Facts of podman 4.3 that others rely on:
- a container's processes are in `<cgroup>/<id>/libpod-<64 hex>`, its conmon in `<cgroup>/<id>/conmon`, in every v1
  hierarchy but `systemd` (and on v2 in the same two folders). Spare `conmon` in a fence: it notes the exit.
- `libpod-…` is there with a process exactly while the container runs: that is how running ones are counted, in 1 ms.
- locks are files under the run folder (`lock_type = "file"`): the shared memory ones are 2,048 for the whole host.
"""

import contextlib
import json
import os
import re
import resource
from pathlib import Path

from . import cgroups, files, names, paths, seccomp
from .config import Config
from .run import ENVIRONMENT, Ran, run
from .spec import Account

LABEL = "tenure.account"
RECORDS = ("libpod", "overlay-containers", "overlay-images", "overlay-layers")
CGROUP = re.compile(r"libpod-([0-9a-f]{64})")
LOG_LIMIT = 16 << 20
HELPERS = "gate"
ASIDE = {"memory": ("memory.limit_in_bytes", 512 << 20), "pids": ("pids.max", 512)}
"""v1 hierarchies in which helpers are counted apart, with their limit there."""
CONF = """[containers]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
"""


def records(config: Config, account: str) -> Path:
    """Where podman keeps its records of this account: outside its quota, and bounded by the number of containers."""
    return config.state / "podman" / names.check(account)


def logs(config: Config, account: str) -> Path:
    """What the account's containers said: one file each, named like the container."""
    return paths.subvolume(config, account) / "logs"


def shared(config: Config) -> Path:
    """The files that every account's podman reads."""
    return config.run / "podman"


def argv(config: Config, account: str, *words: str) -> list[str]:
    """podman with this account's storage and nothing of the host's."""
    own = paths.podman_run(config, account)
    options = ["--root", paths.graph(config, account), "--runroot", own / "storage", "--tmpdir", own / "tmp"]
    if config.podman.imagestore:
        options += ["--storage-opt", f"overlay.imagestore={config.podman.imagestore}"]
    options += ["--storage-driver", "overlay", "--volumepath", records(config, account) / "volumes"]
    options += ["--runtime", config.podman.runtime, "--cgroup-manager", "cgroupfs", "--events-backend", "file"]
    return ["podman", *map(str, options), "--network-config-dir", str(own / "networks"), "--log-level", "error", *words]


def environment(config: Config) -> dict[str, str]:
    """podman's whole environment: neither the host's configuration nor a holder's variables."""
    folder = str(shared(config))
    conf = f"{folder}/containers.conf"
    return {**ENVIRONMENT, "HOME": folder, "XDG_CONFIG_HOME": folder, "CONTAINERS_CONF": conf}


def call(config: Config, account: str, *words: str, timeout: float = 60.0, check: bool = True) -> Ran:
    """Run podman on this account's containers."""
    return run(argv(config, account, *words), timeout=timeout, check=check, environment=environment(config))


def prepare(config: Config, account: str) -> None:
    """Lay out the account's podman storage; twice is once. After a reboot the run folder is made anew."""
    share(config)
    graph, kept = paths.graph(config, account), records(config, account)
    for folder in (kept, graph, logs(config, account), paths.podman_run(config, account)):
        files.folder(folder)
    for name in RECORDS:
        files.folder(kept / name)
        if not (graph / name).is_symlink():
            (graph / name).symlink_to(kept / name)


def share(config: Config) -> None:
    """Write what all accounts' podmans read, when it differs from what is there."""
    files.folder(shared(config))
    for name, content in (("containers.conf", CONF), ("seccomp.json", seccomp.profile())):
        path = shared(config) / name
        with contextlib.suppress(FileNotFoundError):
            if path.read_text() == content:
                continue
        files.write(path, content, sync=False)


def laid_out(config: Config, account: str) -> bool:
    """Whether the account's storage for podman is there."""
    graph = paths.graph(config, account)
    return all((graph / name).is_symlink() and (graph / name).is_dir() for name in RECORDS)


def ready(config: Config, account: str) -> bool:
    """Whether podman can be called: laid out, and its run folder there since the last reboot."""
    return paths.podman_run(config, account).is_dir() and laid_out(config, account)


def own_cgroups(config: Config, account: str) -> list[Path]:
    """Where the gate's own helpers of this account are counted on v1 (see `step_aside`), when there."""
    below = f"{config.cgroup}/{HELPERS}/{names.check(account)}"
    return [top for name in ASIDE if (top := cgroups.ROOT / name / below).is_dir()]


def step_aside(config: Config, account: str) -> None:
    """Count this process, one of the gate's helpers, outside of the account's memory and pids, under limits of its own:
    a holder whose memory or pids are used up must still be able to stop a container. The fence finds it all the same,
    as it stays in the account's freezer. On v2 a process has one place only, and is counted."""
    if cgroups.tree().flavour != "v1":
        return
    for name, (knob, value) in ASIDE.items():
        top = cgroups.ROOT / name / config.cgroup / HELPERS / names.check(account)
        if not top.is_dir():
            top.mkdir(parents=True, exist_ok=True)
            (top / knob).write_text(str(value))
        (top / "cgroup.procs").write_text("0")


def running(config: Config, account: str) -> set[str]:
    """Ids of the containers that have a process now, as the kernel sees it."""
    top = cgroups.tree().tops(cgroups.path(config, account))[0]
    with contextlib.suppress(FileNotFoundError):
        found = ((top / name, CGROUP.fullmatch(name)) for name in os.listdir(top))
        return {match[1] for folder, match in found if match and cgroups.members([folder])}
    return set()


def bound_buffers(config: Config, account: str) -> None:
    """On v1: the account's limit on socket buffers for its running containers, each of which needs it said of itself.
    Sockets that a container opened before this are not counted."""
    top = cgroups.ROOT / "memory" / cgroups.path(config, account)
    with contextlib.suppress(FileNotFoundError):
        limit = (top / cgroups.BUFFER_KNOB).read_text()
        for one in running(config, account):
            with contextlib.suppress(FileNotFoundError):
                (top / f"libpod-{one}" / cgroups.BUFFER_KNOB).write_text(limit)


def existing(config: Config, account: str) -> dict[str, list[str]]:
    """Every container of the account, running or not: id and names, from podman's own record of it."""
    try:
        listed = json.loads((records(config, account) / "overlay-containers" / "containers.json").read_text())
    except FileNotFoundError:
        return {}
    return {one["id"]: one.get("names") or [] for one in listed}


def forget_logs(config: Config, account: str) -> None:
    """Remove the logs of containers that are gone: podman leaves them. Only under the account's lock."""
    kept = {f"{name}.log" for known in existing(config, account).values() for name in known}
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(logs(config, account)):
            if name not in kept:
                files.remove(logs(config, account) / name, sync=False)


def confinement(config: Config, account: Account, name: str) -> list[str]:
    """What holds every container of the account, whatever its holder asked for."""
    spec, uid = account.spec, account.uid
    open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    mounts = [f"{paths.home(config, account.id)}:/work:rw,nosuid,nodev"]
    mounts += [f"{config.models[model]}:/models/{model}:ro,nosuid,nodev" for model in spec.models]
    log = f"path={logs(config, account.id) / name}.log"
    return [
        *("--name", name, "--label", f"{LABEL}={account.id}", "--pull", "never", "--image-volume", "ignore"),
        *("--user", f"{uid}:{uid}", "--cap-drop", "all", "--security-opt", "no-new-privileges"),
        *("--security-opt", f"seccomp={shared(config) / 'seccomp.json'}", "--systemd", "false", "--no-healthcheck"),
        *("--cgroup-parent", f"/{cgroups.path(config, account.id)}", "--network", f"ns:{paths.netns(account.id)}"),
        *("--log-driver", "k8s-file", "--log-opt", log),
        *("--log-opt", f"max-size={min(LOG_LIMIT, spec.storage // 4)}", "--shm-size", str(min(64 << 20, spec.memory))),
        *("--ulimit", f"nofile={open_files}:{open_files}", "--ulimit", f"nproc={spec.pids}:{spec.pids}"),
        *("--ulimit", "core=0:0", "--http-proxy=false", "--env", "HOME=/work"),
        *(word for mount in mounts for word in ("--volume", mount)),
    ]
