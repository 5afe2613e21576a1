"""The floor: the same account by the same commands, typed by hand into one SSH exec as root. No checks, no proof."""

import subprocess
import time

from tests.lab.place import Place

SCRIPT = r"""
set -e
n=$1 uid=$2 pool=$3 x=$4 cg=$5
useradd -M -u $uid -U -d $pool/$n/home -s /bin/sh -p '*' tn-$n
btrfs -q subvolume create $pool/$n
btrfs qgroup limit 50331648 $pool/$n
mkdir $pool/$n/home && chown $uid:$uid $pool/$n/home
for h in cpu cpuacct memory pids freezer unified; do mkdir -p /sys/fs/cgroup/$h/$cg/$n; done
echo 100000 > /sys/fs/cgroup/cpu/$cg/$n/cpu.cfs_quota_us
echo 268435456 > /sys/fs/cgroup/memory/$cg/$n/memory.limit_in_bytes
echo 128 > /sys/fs/cgroup/pids/$cg/$n/pids.max
ip netns add tn-$n
ip link add v$n type veth peer name eth0 netns tn-$n
ip addr add 10.99.$x.1/30 dev v$n; ip link set v$n up
ip -n tn-$n addr add 10.99.$x.2/30 dev eth0; ip -n tn-$n link set eth0 up; ip -n tn-$n link set lo up
ip -n tn-$n route add default via 10.99.$x.1
tc qdisc add dev v$n root tbf rate 20mbit burst 64k latency 200ms
tc -n tn-$n qdisc add dev eth0 root tbf rate 20mbit burst 64k latency 200ms
nft "add table inet byhand; add chain inet byhand f { type filter hook forward priority 0; };
     add quota inet byhand q_$n { over 12 mbytes; }; add rule inet byhand f iifname v$n quota name q_$n drop"
"""

FENCE = r"""
n=$1 cg=$5
nft insert rule inet byhand f iifname v$n drop
echo FROZEN > /sys/fs/cgroup/freezer/$cg/$n/freezer.state
for p in $(cat /sys/fs/cgroup/freezer/$cg/$n/cgroup.procs); do kill -9 $p; done
echo THAWED > /sys/fs/cgroup/freezer/$cg/$n/freezer.state
"""

REMOVE = r"""
n=$1 pool=$3 cg=$5
ip link del v$n; ip netns del tn-$n
for h in cpu cpuacct memory pids freezer unified; do rmdir /sys/fs/cgroup/$h/$cg/$n; done
btrfs -q subvolume delete $pool/$n; userdel tn-$n
nft delete table inet byhand
"""


def ssh(place: Place, script: str, words: list[str]) -> float:
    """Seconds that one SSH exec of the script took, connection and all."""
    argv = ["ssh", "-F", "none", "-i", str(place.path("keys/root")), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
            f"root@{place.address}", "sh", "-s", "--", *words]
    began = time.monotonic()
    subprocess.run(argv, input=script.encode(), check=True, capture_output=True, timeout=60)
    return time.monotonic() - began


def accounts(place: Place, count: int) -> dict[str, list[float]]:
    """Make so many accounts by hand, fence each and take it away again; seconds of each act."""
    took: dict[str, list[float]] = {"make": [], "fence": [], "remove": []}
    for number in range(count):
        words = [f"ahand{number:05d}"[:10], str(place.uid_max - number), str(place.path("pool")), str(number + 1),
                 place.cgroup]
        for name, script in (("make", SCRIPT), ("fence", FENCE), ("remove", REMOVE)):
            took[name].append(ssh(place, script, words))
    return took
