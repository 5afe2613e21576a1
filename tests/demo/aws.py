"""`make demo SITE=aws`: a voucher's life at an emulator of AWS, which answers like AWS and enforces nothing.

What is shown is what Tenure asks of AWS, and that its documents say what they must, evaluated to the second. That AWS
then holds it is AWS's promise and is not shown here.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import yaml

from providers.aws import policies
from providers.aws.names import ACCOUNT_TAG
from tests.demo.report import Report
from tests.drive import Holder, Tenure
from tests.lab.moto import KEYS, Moto, moto
from tests.lab.place import base
from tests.lab.tenured import offer_document
from tests.providers.aws_evaluator import Request, allowed

SITE, IMAGE = "cloud-1", "public.ecr.aws/docker/library/busybox:1"
FOLDER = base().parent / "tenure-demo-aws"
TRIAL = offer_document("trial", timedelta(minutes=20), images=[IMAGE], models=[], grace="1s")
RENTAL = offer_document("rental", timedelta(hours=24), images=[IMAGE], models=[], cpu=4, storage="20GiB", grace="1s")


def main() -> int:
    """Every step, or 1 and what did not hold."""
    report = Report()
    print("Tenure at an EMULATOR of AWS (moto on loopback). It knows no date condition, no boundary and runs no job:\n"
          "steps below show what AWS is asked for; that AWS holds it is not shown by anything here.")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    tenure = Tenure(FOLDER / "home")
    try:
        with moto(FOLDER / "moto.log") as server:
            try:
                _life(report, server, tenure)
            finally:
                tenure.kill()
    except Exception as error:  # noqa: BLE001 (whatever it was: the step did not hold, and the reader is told)
        print(f"\nNot held: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"\nEvery step held ({report.held}), at an emulator. See docs/aws.md for what that does not show.")
    return 0


def _life(report: Report, server: Moto, tenure: Tenure) -> None:
    report.act(0, "Set-up: a region that Tenure is prepared in")
    secret, token = _set_up(report, server, tenure)
    report.act(1, "A trial: redeemed, usable, claimed")
    first, holder = _usable(report, tenure, secret, token, "trial")
    report.act(2, "The end, as AWS has it")
    _end_is_written(report, server, first)
    report.act(3, "The trial ends and is reclaimed")
    with report.step("its end is moved near; fenced then, reclaimed after its grace; AWS is asked service by service"
                     ) as step:
        tenure.cli("account", "extend", first["id"], "--to", "+10s")
        tenure.wait(first["id"], {"RECLAIMED"}, token, within=240)
        left = _everything(server, first["id"])
        step.must(left == [], f"of account {first['id']} AWS lists: {left or 'nothing'}")
    report.act(4, "A second one is converted in place: every end moves, nothing is replaced")
    second, _ = _usable(report, tenure, secret, token, "trial", holder)
    _converted(report, server, tenure, token, second)


def _set_up(report: Report, server: Moto, tenure: Tenure) -> tuple[str, str]:
    """An installation, its site, and the platform that sends vouchers; its secret and an admin's token."""
    # As in production: boto3 finds its own credentials; none lie in Tenure's database.
    os.environ |= {"AWS_ACCESS_KEY_ID": KEYS["access_key_id"], "AWS_SECRET_ACCESS_KEY": KEYS["secret_access_key"]}
    with report.step("`tenure init`, `apply`, `site prepare`") as step:
        tenure.init()
        file = FOLDER / "site.yaml"
        file.write_text(yaml.safe_dump({"offers": [TRIAL, RENTAL], "sites": [{
            "name": SITE, "kind": "aws", "tier": "hub", "settings": server.settings(),
            "places": [{"offer": "trial", "count": 10}, {"offer": "rental", "count": 10}]}]}))
        tenure.cli("apply", "-f", str(file))
        step.saw("; ".join(tenure.cli("site", "prepare", SITE, "--yes")["steps"]))
    with report.step("`tenure site check`: each part is green") as step:
        found = tenure.cli("site", "check", SITE)
        green = sum(one["ok"] for one in found)
        step.must(green == len(found), f"{green} of {len(found)} findings are green")
        step.saw("parts: " + ", ".join(f"{one['part']} ({one['seen']})" for one in found if one["part"] != "site"))
    secret = tenure.cli("sender", "add", "portal")["secret"]
    token = tenure.cli("token", "add", "--role", "admin", "--name", "demo")["token"]
    tenure.serve()
    return str(secret), str(token)


def _usable(report: Report, tenure: Tenure, secret: str, token: str, offer: str,
            holder: Holder | None = None) -> tuple[Any, Holder]:
    """An account, with its session in the holder's hands."""
    code = tenure.cli("voucher", "issue", "--offer", offer, "--count", "1", "--valid-for", "1d")["codes"][0]
    who = {"id": "h-1", "name": "王小明", "kind": "individual", "email": "xiaoming@example.cn"}
    began = time.monotonic()
    with report.step("POST /v1/redemptions, then ACTIVE") as step:
        answer = tenure.post("/v1/redemptions", {"type": "voucher.redeemed", "data": {
            "voucher": code, "holder": who, "offer": offer}}, secret=secret, event=f"msg_{code[-12:]}", sender="portal")
        accepted = answer.json()
        step.must(answer.status_code == 202, f"{answer.status_code} {accepted.get('account')}")
        seen = tenure.wait(accepted["account"], {"ACTIVE"}, token, within=120)
        step.saw(f"ends at {seen['ends_at']}; {time.monotonic() - began:.1f} s")
    one = holder or Holder(FOLDER / "holder")
    with report.step("the claim link gives a role session, sealed to the holder's own SSH key") as step:
        public = one.key.with_suffix(".pub").read_text()
        got = httpx.post(accepted["claim_url"], json={"ssh_public_key": public}, timeout=60)
        again = httpx.post(accepted["claim_url"], json={"ssh_public_key": public}, timeout=60)
        step.must(got.status_code == 200, f"{got.status_code}")
        minted = got.json()
        step.must(minted["sealed"].startswith("-----BEGIN AGE"), f"{minted['login']}, until {minted['expires']}")
        step.must(again.content == got.content, "the same key again: the same answer")
        database = b"".join(file.read_bytes() for file in tenure.home.glob("tenure.db*"))
        step.must(b"aws_secret_access_key" not in database, "no secret of it is in Tenure's database")
    _opened(report, one.key, got.json()["sealed"])
    return seen, one


def _opened(report: Report, key: Path, sealed: str) -> None:
    if shutil.which("age") is None:
        print("   (age is not installed here: opening the sealed session is left out)")
        return
    with report.step("`age -d -i id_ed25519` opens it") as step:
        text = subprocess.run(["age", "-d", "-i", str(key)], input=sealed, capture_output=True, text=True, timeout=20,
                              check=True).stdout
        shown = [line.split(" = ")[0] for line in text.splitlines() if " = " in line]
        step.must("aws_session_token" in shown, ", ".join(shown))


def _boundary(server: Moto, account: str) -> dict[str, Any]:
    iam = server.client("iam")
    (found,) = [one for one in iam.list_policies(Scope="Local")["Policies"] if account in one["PolicyName"]]
    document: dict[str, Any] = iam.get_policy_version(
        PolicyArn=found["Arn"], VersionId=found["DefaultVersionId"])["PolicyVersion"]["Document"]
    return document


def _end_is_written(report: Report, server: Moto, account: Any) -> None:
    id, end = account["id"], datetime.fromisoformat(account["ends_at"]).replace(microsecond=0)
    with report.step("the boundary that AWS holds, evaluated: the last second and the first after") as step:
        iam, name = server.client("iam"), f"tn-{id}"
        own = iam.get_role_policy(RoleName=name, PolicyName=policies.HOLDER)["PolicyDocument"]
        queue = server.client("batch").describe_job_queues(jobQueues=[name])["jobQueues"][0]["jobQueueArn"]

        def may(at: datetime) -> bool:
            context = {"aws:CurrentTime": at.isoformat(), f"aws:PrincipalTag/{ACCOUNT_TAG}": id}
            return allowed(Request("batch:SubmitJob", queue, context), [own], _boundary(server, id))

        last = end - timedelta(seconds=1)
        step.must(may(last) and not may(end), f"submit at {last:%H:%M:%S}: allowed; at {end:%H:%M:%S}: refused")
    with report.step("entries of Scheduler: AWS runs them with Tenure dead, the emulator does not") as step:
        found = _schedules(server, id)
        step.must(len(found) == 4 and len(set(found.values())) == 1, json.dumps(found))


def _schedules(server: Moto, account: str) -> dict[str, str]:
    client = server.client("scheduler")
    listed = client.list_schedules(NamePrefix=f"tn-{account}")["Schedules"]
    return {one["Name"].rsplit("-", 1)[1]: client.get_schedule(Name=one["Name"], GroupName=one["GroupName"])[
        "ScheduleExpression"] for one in listed}


def _converted(report: Report, server: Moto, tenure: Tenure, token: str, account: Any) -> None:
    id = account["id"]
    before, role = _schedules(server, id), server.client("iam").get_role(RoleName=f"tn-{id}")["Role"]["RoleId"]
    with report.step("a signed contract for 90 days: CONTRACTED") as step:
        paper = FOLDER / "contract.txt"
        paper.write_text("a signed contract")
        tenure.cli("account", "convert", id, "--contract", "C-1", "--offer", "rental", "--until", "+90d",
                   "--document", str(paper), "--yes")
        seen = tenure.wait(id, {"CONTRACTED"}, token, within=120)
        step.saw(f"ends at {seen['ends_at']}")
    with report.step("the same role, larger limits, and every entry at the new end") as step:
        after = _schedules(server, id)
        step.must(server.client("iam").get_role(RoleName=f"tn-{id}")["Role"]["RoleId"] == role, f"role id {role}")
        step.must(not set(after.values()) & set(before.values()), f"{set(before.values())} -> {set(after.values())}")
        own = [{"Name": f"tag:{ACCOUNT_TAG}", "Values": [id]}]
        (volume,) = server.client("ec2").describe_volumes(Filters=own)["Volumes"]
        step.must(volume["Size"] == 20, f"volume {volume['VolumeId']}: {volume['Size']} GiB")


def _everything(server: Moto, account: str) -> list[str]:
    """What AWS lists of an account, asked without any of Tenure's code."""
    own = [{"Name": f"tag:{ACCOUNT_TAG}", "Values": [account]}]
    iam, ec2, batch = server.client("iam"), server.client("ec2"), server.client("batch")
    names = [
        *(one["RoleName"] for one in iam.list_roles()["Roles"]),
        *(one["PolicyName"] for one in iam.list_policies(Scope="Local")["Policies"]),
        *(one["computeEnvironmentName"] for one in batch.describe_compute_environments()["computeEnvironments"]),
        *(one["jobQueueName"] for one in batch.describe_job_queues()["jobQueues"]),
        *(one["jobDefinitionName"] for one in batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]),
        *(one["Name"] for one in server.client("scheduler").list_schedules()["Schedules"]),
        *(one["logGroupName"] for one in server.client("logs").describe_log_groups()["logGroups"])]
    return [*(name for name in names if account in name),
            *(one["VolumeId"] for one in ec2.describe_volumes(Filters=own)["Volumes"]),
            *(one["SubnetId"] for one in ec2.describe_subnets(Filters=own)["Subnets"]),
            *(one["GroupId"] for one in ec2.describe_security_groups(Filters=own)["SecurityGroups"])]
