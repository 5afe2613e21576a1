"""What the lab's machine needs of a host before any product is on it: pool, network, sshd, image. Each step twice is
once."""

import contextlib
import fcntl
import io
import os
import pwd
import shutil
import struct
import subprocess
import tarfile
from pathlib import Path

from tests.lab.place import Place, Unfit
from tests.lab.shell import record, run, start, until

PROGRAMS = {
    "btrfs": "btrfs-progs",
    "mkfs.btrfs": "btrfs-progs",
    "nft": "nftables",
    "ip": "iproute2",
    "tc": "iproute2",
    "nsenter": "util-linux",
    "sshd": "openssh-server",
    "ssh-keygen": "openssh-client",
    "sudo": "sudo",
    "podman": "podman",
    "runc": "runc",
    "conmon": "conmon",
    "bwrap": "bubblewrap",
    "busybox": "busybox-static",
    "crontab": "cron",
    "at": "at",
}
POOL_SIZE = 16 << 30
IMAGE = "localhost/busybox:1"
APPLETS = (
    "sh",
    "sleep",
    "cat",
    "dd",
    "id",
    "ls",
    "ps",
    "nc",
    "wget",
    "true",
    "echo",
    "head",
    "yes",
    "seq",
    "mkdir",
    "rm",
)
QUOTA_CTL = 0xC0109428
ENABLE_QUOTAS, ENABLE_SIMPLE_QUOTAS = 1, 4

SSHD = """\
# The lab's own sshd; the machine's is another process with another file.
Port 22
ListenAddress {address}
HostKey {keys}/host
PidFile {pids}/sshd.pid
AuthorizedKeysFile {keys}/authorized/%u
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM yes
UseDNS no
PrintMotd no
PrintLastLog no
MaxStartups 100:30:200
Subsystem sftp /usr/lib/openssh/sftp-server
LogLevel VERBOSE
Include {etc}/sshd_config.d/*.conf
"""


def fit() -> None:
    """Unfit, in one sentence, when something is missing that no step can make."""
    if os.geteuid() != 0:
        raise Unfit("The lab needs root, as it makes namespaces, mounts and users.")
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    missing = sorted({package for name, package in PROGRAMS.items() if not shutil.which(name, path=path)})
    if missing:
        raise Unfit(f"The lab needs these Debian packages: {' '.join(missing)}.")
    if "btrfs" not in Path("/proc/filesystems").read_text():
        subprocess.run(["modprobe", "btrfs"], check=False, capture_output=True, timeout=20)
        if "btrfs" not in Path("/proc/filesystems").read_text():
            raise Unfit("The lab needs a kernel with btrfs, for exact storage quotas.")
    if not Path("/dev/loop-control").exists():
        raise Unfit("The lab needs loop devices (/dev/loop-control), for the pool.")
    if not Path("/sys/fs/cgroup").is_dir() or not any(Path("/sys/fs/cgroup").iterdir()):
        raise Unfit("The lab needs cgroups mounted at /sys/fs/cgroup.")


def folders(place: Place) -> None:
    """Root's, and open to look through, as sshd wants its files' folders to be."""
    for name in ("", "etc", "etc/sshd_config.d", "lib", "log", "keys", "keys/authorized", "pool", "images", "pids"):
        place.path(name).mkdir(parents=True, exist_ok=True)
        place.path(name).chmod(0o755)
    place.run.mkdir(parents=True, exist_ok=True)
    Path("/run/sshd").mkdir(exist_ok=True)


def pool(place: Place) -> None:
    """A btrfs in a file with quotas: simple ones where the kernel has them, as they hold nested subvolumes too."""
    image, top = place.path("pool.img"), place.path("pool")
    if os.path.ismount(top):
        return
    if not image.exists():
        with open(image, "wb") as file:
            file.truncate(POOL_SIZE)
        run(["mkfs.btrfs", "--quiet", "--force", str(image)])
    run(["mount", "-o", "loop,nodev,nosuid,noatime", str(image), str(top)])
    enable_quotas(top)


def enable_quotas(top: Path) -> None:
    handle = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for command in (ENABLE_SIMPLE_QUOTAS, ENABLE_QUOTAS):
            with contextlib.suppress(OSError):
                fcntl.ioctl(handle, QUOTA_CTL, struct.pack("QQ", command, 0))
                return
    finally:
        os.close(handle)
    raise Unfit("The lab needs btrfs quotas, which this kernel refuses.")


def network(place: Place) -> None:
    """The site's namespace, and a link to the machine."""
    if not os.path.ismount(f"/run/netns/{place.netns}"):
        run(["ip", "netns", "delete", place.netns], check=False)
        run(["ip", "netns", "add", place.netns])
    if not Path(f"/sys/class/net/{place.outer}").exists():
        run(["ip", "link", "add", place.outer, "type", "veth", "peer", "name", place.inner, "netns", place.netns])
    run(["ip", "addr", "replace", f"{place.machine_address}/24", "dev", place.outer])
    run(["ip", "link", "set", place.outer, "up"])
    steps = f"link set lo up\naddr replace {place.address}/24 dev {place.inner}\nlink set {place.inner} up\n"
    steps += f"route replace default via {place.machine_address}\n"
    run(["ip", "-n", place.netns, "-batch", "-"], input=steps)


def keys(place: Place) -> None:
    """The site's host key, root's key for setting the product up, the operator's key."""
    for name in ("host", "root", "operator", "holders_ca"):
        if not place.path(f"keys/{name}").exists():
            comment = f"{name}@{place.name}"
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(place.path(f"keys/{name}"))])
    for user, key in (("root", "root"), (place.operator, "operator")):
        allowed = place.path("keys/authorized") / user
        allowed.write_text(place.path(f"keys/{key}.pub").read_text())
        allowed.chmod(0o644)


def sshd(place: Place) -> None:
    """sshd at the site, with files of its own."""
    config = place.path("etc/sshd_config")
    config.write_text(
        SSHD.format(address=place.address, keys=place.path("keys"), pids=place.path("pids"), etc=place.path("etc"))
    )
    start(place, "sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", str(config)])
    written = place.path("pids") / "sshd.pid"
    until(lambda: written.exists() and written.read_text().strip().isdigit(), "sshd")
    record(place, "sshd", int((place.path("pids") / "sshd.pid").read_text()))


def image(place: Place) -> None:
    """One small image in a read-only store that all accounts share."""
    store = ["podman", "--root", str(place.path("images")), "--runroot", f"{place.run}/images"]
    store += ["--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]
    if (place.path("images") / "overlay-images/images.json").exists():
        return
    archive = place.path("busybox.tar")
    archive.write_bytes(root_file_system())
    run([*store, "import", str(archive), IMAGE], timeout=120)
    archive.unlink()
    run(["umount", str(place.path("images/overlay"))], check=False)
    shutil.rmtree(place.run / "images", ignore_errors=True)


def root_file_system() -> bytes:
    """busybox and what a container expects beside it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in ("bin", "dev", "etc", "home", "models", "proc", "sys", "tmp", "var", "var/tmp", "work"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name.endswith("tmp") else 0o755
            tar.addfile(folder)
        tar.add(shutil.which("busybox") or "/bin/busybox", "bin/busybox")
        for applet in APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        users = b"root:x:0:0:root:/:/bin/sh\n"
        entry = tarfile.TarInfo("etc/passwd")
        entry.size = len(users)
        tar.addfile(entry, io.BytesIO(users))
    return packed.getvalue()


def group(place: Place) -> None:
    """The holders' Unix group."""
    run(["groupadd", "--force", "--system", place.group])


def operator(place: Place) -> None:
    """An unprivileged login that may run one command as root."""
    with contextlib.suppress(KeyError):
        pwd.getpwnam(place.operator)
        return
    run(
        [
            "useradd",
            "--system",
            "--no-create-home",
            "--home-dir",
            "/",
            "--shell",
            "/bin/sh",
            "--password",
            "*",
            place.operator,
        ]
    )
