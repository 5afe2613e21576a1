"""The configuration files of a lab's Slurm cluster."""

import os
from pathlib import Path

from tests.lab.place import Place

CHIPS = ("gpu", "mlu", "npu")
"""Accelerators as counts without device files."""

SLURM = """\
ClusterName=lab{number}
SlurmctldHost={host}({address})
SlurmUser=slurm
AuthType=auth/munge
AuthInfo=socket={munge}
CredType=cred/munge
SlurmctldPidFile={top}/ctld/slurmctld.pid
SlurmdPidFile={top}/slurmd/slurmd.pid
StateSaveLocation={top}/ctld
SlurmdSpoolDir={top}/slurmd
SlurmctldLogFile={top}/log/slurmctld.log
SlurmdLogFile={top}/log/slurmd.log
SlurmctldPort=6817
SlurmdPort=6818
MpiDefault=none
ProctrackType=proctrack/cgroup
TaskPlugin=task/cgroup,task/affinity
JobAcctGatherType=jobacct_gather/cgroup
JobAcctGatherFrequency=5
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=5,sched_min_interval=100000
PriorityType=priority/multifactor
PriorityCalcPeriod=1
PriorityDecayHalfLife=0
PriorityUsageResetPeriod=NONE
PrivateData=accounts,jobs,reservations,usage,users
ReturnToService=2
KillWait=5
MinJobAge=60
CompleteWait=0
InactiveLimit=0
MessageTimeout=10
PropagateResourceLimits=NONE
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost={address}
AccountingStoragePort=6819
AccountingStoragePass={munge}
AccountingStorageEnforce=associations,limits,qos,safe
AccountingStorageTRES=gres/gpu,gres/mlu,gres/npu
GresTypes=gpu,mlu,npu
Licenses=tenure:1000000
DefMemPerCPU=64
NodeName=n{number} NodeHostname={host} NodeAddr={address} CPUs={cpus} RealMemory={memory} Gres=gpu:4,mlu:4,npu:4
PartitionName=main Nodes=n{number} Default=YES MaxTime=INFINITE DefaultTime=10 State=UP OverSubscribe=NO
"""
CGROUP = """\
CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
CgroupAutomount=no
ConstrainCores=yes
ConstrainRAMSpace=yes
ConstrainSwapSpace=no
ConstrainDevices=no
"""
# Slurm's plugin for gpu counts none without a device file; ConstrainDevices is off, so any will do.
DEVICES = ("null", "zero", "full", "random")
GRES = "".join(f"NodeName=n{{number}} Name=gpu File=/dev/{device}\n" for device in DEVICES)
GRES += "".join(f"NodeName=n{{number}} Name={chip} Count=4\n" for chip in CHIPS[1:])
DBD = """\
AuthType=auth/munge
AuthInfo=socket={munge}
DbdHost=localhost
DbdAddr={address}
DbdPort=6819
SlurmUser=slurm
LogFile={top}/log/slurmdbd.log
PidFile={top}/ctld/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StorageLoc=slurm
PrivateData=accounts,jobs,reservations,usage,users
"""


def render(place: Place, top: Path) -> None:
    """Write them; slurmdbd's is its own user's alone, as it demands."""
    import shutil

    from tests.lab.slurm import host

    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // (1 << 20) - 1024
    values = {
        "number": place.number,
        "address": place.address,
        "munge": top / "munge" / "munge.socket",
        "top": top,
        "host": host(),
        "cpus": os.cpu_count(),
        "memory": memory,
    }
    for name, text in (("slurm.conf", SLURM), ("cgroup.conf", CGROUP), ("gres.conf", GRES), ("slurmdbd.conf", DBD)):
        file = top / "etc" / name
        file.write_text(text.format(**values))
        file.chmod(0o644)
    shutil.chown(top / "etc" / "slurmdbd.conf", "slurm")
    (top / "etc" / "slurmdbd.conf").chmod(0o600)
