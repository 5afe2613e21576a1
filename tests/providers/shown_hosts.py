"""Sites that are hosts of a lab, shown: with the stock SSH client and Slurm's own programs, and by killing the program
there."""

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from providers.host.wire import as_json
from providers.protocol import Leftover, PartName, Spec
from tests.lab import host, independent, slurm
from tests.lab.killed import dies
from tests.lab.place import Place
from tests.lab.shell import run, stop
from tests.providers.holders import Holder
from tests.providers.shown import GetsIn, Shown

KINDS = (
    (r"/etc/", "user"), (r"process ", "process"), (r"(subvolume|file \S+/pool/)", "storage"),
    (r"qgroup ", "quota group"), (r"nft ", "packet filter"), (r"mount (?!.*/run/netns/)", "mount"),
    (r"(link|address|netns|mount) ", "network"), (r"ipc ", "ipc"), (r"keys ", "keyring"), (r"crontab|at ", "job"),
    (r"file \S+/slots/", "slot"), (r"file \S+/(usage/|meters.json)", "meter"), (r"(file|cgroup) ", ""),
)
"""What of an independent listing is of which of the site's own kinds; the first that fits counts. What is called by its
path is itself."""
BY_PATH = {"file": "file", "lease": "file", "lock": "file", "container": "file", "slurm": "file", "cgroup": "cgroup"}


@dataclass(frozen=True)
class ShownHost(Shown):
    """A plain host."""

    place: Place = field(kw_only=True)
    folder: Path = field(kw_only=True)
    """For the keys of holders."""

    def ends(self, account: Spec) -> dict[str, datetime]:
        lease = json.loads(self.place.path(f"state/leases/{account.account}.json").read_text())
        return {"lease": datetime.fromtimestamp(lease["end"], UTC)}

    def holder(self, account: Spec) -> GetsIn:
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        return Holder(self.site, account, folder, end=self.site.now() + timedelta(minutes=50)).gets_in

    def there(self, account: Spec) -> set[str]:
        rows = independent.listing(self.place, account.account, self.uid(account), roots=())
        assert not [row for row in rows if "UNLISTED" in row]
        return {next(kind for mark, kind in KINDS if re.match(mark, row)) or row for row in rows}

    def called(self, left: Leftover) -> str:
        """By its path or else its kind: other names differ. What is inside of the account's storage is that."""
        if left.what.startswith(str(self.place.path("pool"))):
            return "storage"
        return f"{BY_PATH[left.kind]} {left.what}" if left.kind in BY_PATH and left.what[0] == "/" else left.kind

    def uid(self, account: Spec) -> int:
        """By the site's ledger of uids, which outlives the account."""
        rows = [row.split() for row in self.place.path("state/uids").read_text().splitlines()]
        (given,) = [int(row[0]) for row in rows if row[1:] == [account.account]]
        return given

    @contextmanager
    def unlisted(self) -> Iterator[None]:
        """The pool is away."""
        run(["umount", "--lazy", str(self.place.path("pool"))])
        try:
            yield
        finally:
            host.pool(self.place)

    def dies(self, account: Spec, part: PartName, fatal: int) -> bool:
        return dies(self.place, fatal, "ensure", part=part, spec=as_json(account))


@dataclass(frozen=True)
class ShownCluster(ShownHost):
    """The login node of a Slurm cluster."""

    def ends(self, account: Spec) -> dict[str, datetime]:
        words = ["env", "TZ=UTC", "scontrol", "--oneliner", "show", "reservation", f"tn-{account.account}"]
        found = re.search(r"EndTime=(\S+)", slurm.inside(self.place, *words))
        assert found
        return super().ends(account) | {"reservation": datetime.fromisoformat(f"{found[1]}Z")}

    def holder(self, account: Spec) -> GetsIn:
        """Through SSH, or as somebody who is on the cluster already: a job of the account's user."""
        logs_in, uid, user = super().holder(account), self.uid(account), f"tn-{account.account}"
        become = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        job = ["sbatch", "-D", "/", f"--reservation={user}", "-o", "/dev/null", "--wrap", "true"]
        argv = [*self.place.inside, *become, "env", f"SLURM_CONF={slurm.conf(self.place)}", *job]

        def gets_in() -> bool:
            submitted = subprocess.run(argv, capture_output=True, timeout=30, check=False).returncode == 0
            return logs_in() or submitted

        return gets_in

    def there(self, account: Spec) -> set[str]:
        name = f"tn-{account.account}"
        asked = {"account": f"account={name}", "QOS": f"name={name}", "association": f"user={name}"}
        found = {what for what, where in asked.items() if slurm.inside(
            self.place, "sacctmgr", "-n", "-P", "list", {"association": "assoc"}.get(what, what.lower()), where)}
        if name in slurm.inside(self.place, "scontrol", "--oneliner", "show", "reservation"):
            found.add("reservation")
        return super().there(account) | {f"slurm {one}" for one in found}

    def called(self, left: Leftover) -> str:
        """What Slurm has: by its word. Its maps of packets are seen as the packet filter."""
        if left.kind != "slurm" or left.what[0] == "/":
            return super().called(left)
        word = left.what.split()[0]
        return "packet filter" if word == "nft" else f"slurm {word}"

    @contextmanager
    def unlisted(self) -> Iterator[None]:
        """slurmdbd is away."""
        stop(self.place, "slurmdbd")
        try:
            yield
        finally:
            slurm.slurmdbd(self.place)
