"""What Tenure asks of AWS, seen at the emulator past our own code: ends, limits, leftovers, sessions, settings."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from providers.aws import policies
from providers.aws.containers import MOST
from providers.aws.errors import Raced
from providers.aws.site import AwsSite, connect
from providers.aws.storage import GIB
from providers.protocol import (
    PARTS,
    BadKey,
    Finding,
    NeedsHuman,
    Refused,
    SiteError,
    Spec,
    Stale,
    TryLater,
    only,
)
from tests.lab.moto import KEYS, Moto, moto
from tests.lab.shell import until
from tests.providers.every import HOUR, MINUTE, complete
from tests.providers.keys import make_key
from tests.providers.shown_aws import IMAGE, account_at, boundary, states
from tests.providers.specs import new_id, spec


@pytest.fixture(scope="module")
def server() -> Iterator[Moto]:
    with moto() as one:
        yield one


@pytest.fixture(scope="module", params=["eu-central-1", "cn-north-1"])
def region(request: pytest.FixtureRequest) -> str:
    """One region of each partition."""
    return str(request.param)


@pytest.fixture(scope="module")
def site(server: Moto, region: str) -> Iterator[AwsSite]:
    with closing(connect(f"north-{region[:2]}", server.settings(region), KEYS)) as one:
        one.prepare(dry_run=False)
        yield one


@pytest.fixture
def account(site: AwsSite) -> Iterator[Spec]:
    with account_at(site) as made:
        yield made


def schedules(server: Moto, region: str, account: Spec) -> dict[str, str]:
    """When AWS would do what, by the last word of each entry's name."""
    client = server.client("scheduler", region)
    found = client.list_schedules(NamePrefix=f"tn-{account.account}")["Schedules"]
    return {one["Name"].split("-")[-1]: client.get_schedule(Name=one["Name"], GroupName=one["GroupName"])[
        "ScheduleExpression"] for one in found}


def test_the_end_is_at_aws_before_anything_else_is(server: Moto, region: str, site: AwsSite, account: Spec) -> None:
    """Four entries: deny, queue, environment, running jobs; all at the end, in whole seconds, cut."""
    end = site.now() + HOUR
    site.arm(account, end, 1)
    at = f"at({end.strftime('%Y-%m-%dT%H:%M:%S')})"
    assert schedules(server, region, account) == dict.fromkeys(("deny", "queue", "environment", "stop"), at)


def test_arming_moves_the_end_everywhere(server: Moto, region: str, site: AwsSite, account: Spec) -> None:
    """Boundary and entries have the contract's end, and the old one is nowhere."""
    complete(site, account)
    opened = site.open(account, MINUTE * 20, 2)
    end = opened.ends_at + timedelta(days=30)
    site.arm(account, end, 3)
    document = json.dumps(boundary(server, account, region))
    assert set(schedules(server, region, account).values()) == {f"at({end.strftime('%Y-%m-%dT%H:%M:%S')})"}
    assert policies.instant(end.timestamp()) in document
    assert policies.instant(opened.ends_at.timestamp()) not in document


def test_ten_moves_of_an_end_keep_within_five_versions(server: Moto, region: str, site: AwsSite, account: Spec) -> None:
    """AWS keeps five versions of a policy: older ones go first."""
    complete(site, account)
    for generation in range(2, 9):
        site.arm(account, site.now() + generation * HOUR, generation)
    assert policies.instant(site._leases.live(account.account).end) in json.dumps(boundary(server, account, region))


def test_a_lower_generation_changes_nothing_at_aws(server: Moto, region: str, site: AwsSite, account: Spec) -> None:
    """Refused by the row's condition, before anything is written."""
    complete(site, account)
    site.arm(account, site.now() + 5 * HOUR, 5)
    before = schedules(server, region, account), json.dumps(boundary(server, account, region))
    with pytest.raises(Stale):
        site.arm(account, site.now() + 9 * HOUR, 4)
    assert (schedules(server, region, account), json.dumps(boundary(server, account, region))) == before


def test_two_writers_of_one_lease_are_not_both_right(site: AwsSite, account: Spec) -> None:
    """The second one's condition fails at AWS."""
    site.arm(account, site.now() + HOUR, 1)
    known, version = site._leases._read(account.account)
    assert known is not None
    site._leases._write(replace(known, generation=2), version)
    with pytest.raises(Raced):
        site._leases._write(replace(known, generation=3), version)


def test_a_fence_shuts_and_lifting_it_opens(server: Moto, region: str, site: AwsSite, account: Spec) -> None:
    """At AWS, not only in the lease; and nothing is on before the account is opened."""
    complete(site, account)
    seen = [states(server, account, region)]
    site.open(account, HOUR, 2)
    seen.append(states(server, account, region))
    site.fence([(account.account, 3)], "operator")
    seen.append(states(server, account, region))
    for part in PARTS:
        site.parts[part].ensure(account)
    seen.append(states(server, account, region))
    site.unfence(account, 4, site.now() + HOUR)
    seen.append(states(server, account, region))
    off, on, fenced = ("DISABLED", "DISABLED", False), ("ENABLED", "ENABLED", False), ("DISABLED", "DISABLED", True)
    assert seen == [off, on, fenced, fenced, on]


def test_limits_are_the_offer_s(server: Moto, region: str, site: AwsSite, account: Spec) -> None:
    """vCPUs, the volume, the way out, the images: as AWS has them."""
    large = replace(account, cpu_milli=3500, storage=3 * GIB + 1, memory=8 * GIB)
    complete(site, large)
    batch, ec2 = server.client("batch", region), server.client("ec2", region)
    name, own = f"tn-{account.account}", [{"Name": "tag:tenure-account", "Values": [account.account]}]
    (environment,) = batch.describe_compute_environments(computeEnvironments=[name])["computeEnvironments"]
    (volume,) = ec2.describe_volumes(Filters=own)["Volumes"]
    (group,) = ec2.describe_security_groups(Filters=own)["SecurityGroups"]
    assert environment["computeResources"]["maxvCpus"] == 4
    assert (volume["Size"], volume["Encrypted"]) == (4, True)
    assert [rule["IpRanges"] for rule in group["IpPermissionsEgress"]] == [[{"CidrIp": "0.0.0.0/0"}]]
    assert site.parts["containers"].ensure(large).facts["images"] == [IMAGE]


def test_without_egress_there_is_no_way_out(server: Moto, region: str, site: AwsSite, account: Spec) -> None:
    """Not the rule to everywhere either that AWS puts into each new group."""
    complete(site, replace(account, egress=0))
    own = [{"Name": "tag:tenure-account", "Values": [account.account]}]
    (group,) = server.client("ec2", region).describe_security_groups(Filters=own)["SecurityGroups"]
    assert group["IpPermissionsEgress"] == []


def test_a_volume_does_not_shrink(site: AwsSite, account: Spec) -> None:
    """EBS cannot; the data stays."""
    larger = replace(account, storage=3 * GIB)
    complete(site, larger)
    with pytest.raises(Refused):
        site.parts["storage"].ensure(account)
    assert site.parts["storage"].ensure(larger).facts["storage"] == 3 * GIB


@pytest.mark.parametrize("asked", [{"accelerators": {"gpu": 1}}, {"models": ("qwen3-32b",)}, {"memory": 1 << 45}])
def test_what_fargate_has_not_is_said_before_anything_is_made(site: AwsSite, asked: dict[str, object]) -> None:
    """Accelerators, model folders, jobs too large."""
    made = replace(spec(), **asked)  # type: ignore[arg-type]
    with pytest.raises(NeedsHuman):
        site.arm(made, site.now() + HOUR, 1)
    assert site.leftovers(made.account) == []


def test_the_fifty_first_environment_is_refused_before_anything_is_made(server: Moto, region: str, site: AwsSite,
                                                                         account: Spec) -> None:
    """Whoever's they are: AWS counts them together, and the message says what to do."""
    batch, ec2 = server.client("batch", region), server.client("ec2", region)
    role = server.client("iam", region).list_roles(PathPrefix="/aws-service-role/batch")["Roles"][0]["Arn"]
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    there = len(batch.describe_compute_environments()["computeEnvironments"])
    others = [f"other-{number}" for number in range(MOST - there)]
    for name in others:
        batch.create_compute_environment(computeEnvironmentName=name, type="MANAGED", serviceRole=role,
                                         computeResources={
            "type": "FARGATE", "maxvCpus": 1, "subnets": [subnet], "securityGroupIds": [group]})
    try:
        with pytest.raises(NeedsHuman, match="50 compute environments") as full:
            site.arm(account, site.now() + HOUR, 1)
        assert "another region" in full.value.remedy
        assert site.leftovers(account.account) == []
        (containers,) = [one for one in site.check() if one.part == "containers"]
        assert not containers.ok
    finally:
        for name in others:
            batch.delete_compute_environment(computeEnvironment=name)


def test_what_is_left_is_named_service_by_service(site: AwsSite, account: Spec) -> None:
    """Every resource, whether or not the tagging service would know it."""
    complete(site, account)
    assert {left.kind for left in site.leftovers(account.account)} == {
        "role policy", "compute environment", "job queue", "job definition", "log group", "subnet", "security group",
        "volume", "role", "policy", "schedule", "lease"}


def test_what_was_made_twice_is_taken_away_twice(server: Moto, region: str, site: AwsSite, account: Spec) -> None:
    """A lost answer and a repeated call: the second volume carries our tags, so it goes as well."""
    complete(site, account)
    tags = [{"Key": "tenure-account", "Value": account.account}, {"Key": "tenure-site", "Value": site.name}]
    ec2 = server.client("ec2", region)
    ec2.create_volume(AvailabilityZone=f"{region}a", Size=1, TagSpecifications=[
        {"ResourceType": "volume", "Tags": tags}])
    assert len([left for left in site.leftovers(account.account) if left.kind == "volume"]) == 2
    site.fence([(account.account, 3)], "end")
    only(site.clean([(account.account, 4)]))
    assert site.leftovers(account.account) == []


def access(site: AwsSite) -> Finding:
    (found,) = [one for one in site.check() if one.part == "access"]
    return found


def test_the_check_says_when_no_session_can_be_minted(server: Moto, region: str, site: AwsSite, account: Spec) -> None:
    """A role that trusts somebody else than who Tenure is now; put right by the next arming."""
    complete(site, account)
    assert access(site).ok
    iam, name = server.client("iam", region), f"tn-{account.account}"
    trust = policies.trust("arn:aws:iam::123456789012:role/before", "aws", "123456789012", site.now().timestamp())
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))
    found = access(site)
    assert (found.ok, name in found.seen) == (False, True)
    site.arm(account, site.now() + 2 * HOUR, 2)
    assert access(site).ok


def test_the_check_says_when_sessions_are_too_long(server: Moto, region: str, site: AwsSite) -> None:
    """A Tenure that is a role gets an hour, whatever is set."""
    role = server.client("iam", region).create_role(
        RoleName=f"tenure-{region[:2]}", Path="/ops/", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    got = server.client("sts", region).assume_role(RoleArn=role, RoleSessionName="worker")["Credentials"]
    keys = {"access_key_id": got["AccessKeyId"], "secret_access_key": got["SecretAccessKey"],
            "session_token": got["SessionToken"]}
    for hours, ok in ((12, False), (1, True)):
        with closing(connect(f"long-{region[:2]}", server.settings(region, session_hours=hours), keys)) as long:
            found = access(long)
            assert (found.ok, role in found.seen) == (ok, True)


def test_the_session_is_sealed_to_the_holder_s_key(site: AwsSite, account: Spec, tmp_path: Path) -> None:
    """Nothing readable leaves; the stock `age` opens it with the private key, for both kinds of key."""
    if shutil.which("age") is None:
        pytest.skip("age is not installed here")
    complete(site, account)
    site.open(account, HOUR, 2)
    for kind in ("ed25519", "rsa3072"):
        pair = make_key(kind)
        credential = site.issue(account, pair.public, site.now() + MINUTE)
        assert "aws_" not in repr(credential)
        (tmp_path / kind).write_text(pair.private)
        opened = subprocess.run(["age", "-d", "-i", str(tmp_path / kind)], input=credential.sealed.encode(),
                                capture_output=True, timeout=20, check=True).stdout.decode()
        assert f"[tenure-{account.account}]" in opened
        assert "aws_session_token = " in opened


def test_a_key_that_nothing_can_be_sealed_to_is_refused(site: AwsSite, account: Spec) -> None:
    """ECDSA; the holder may claim with another key."""
    complete(site, account)
    site.open(account, HOUR, 2)
    with pytest.raises(BadKey, match="Ed25519"):
        site.issue(account, make_key("ecdsa").public, site.now() + MINUTE)


def test_a_site_that_is_not_prepared_says_so(server: Moto) -> None:
    """Every part's finding, and the error of a first call."""
    with closing(connect("bare", server.settings(), KEYS)) as bare:
        missing = {finding.remedy for finding in bare.check() if not finding.ok}
        assert missing == {"tenure site prepare bare"}
        with pytest.raises(NeedsHuman, match="not prepared"):
            bare.arm(replace(spec(), images=(IMAGE,)), bare.now() + HOUR, 1)


def test_preparing_says_what_it_would_do_and_is_taken_back(server: Moto) -> None:
    """Dry first; then made; then nothing left to do; then away."""
    with closing(connect("short", server.settings(vpc_cidr="10.90.0.0/24"), KEYS)) as site:
        planned = site.prepare(dry_run=True)
        made = site.prepare(dry_run=False)
        assert len(planned) == len(made) > 4
        assert site.prepare(dry_run=True) == []
        assert all(finding.ok for finding in site.check())
        site.unprepare(dry_run=False)
        assert len(site.prepare(dry_run=True)) >= len(planned) - 1


@pytest.mark.parametrize(("settings", "told"), [
    ({}, "region: is missing"), ({"region": "mars"}, "region"),
    ({"region": "eu-central-1", "vpc": "x"}, "not a setting"),
    ({"region": "eu-central-1", "vpc_cidr": "10.0.0.0/8"}, "vpc_cidr"),
    ({"region": "eu-central-1", "egress_cidrs": ["10.0.0.1/8"]}, "egress_cidrs"),
    ({"region": "eu-central-1", "session_hours": 13}, "session_hours"),
    ({"region": "eu-central-1", "endpoint_url": "ftp://x"}, "endpoint_url"),
])
def test_bad_settings_name_the_field(settings: dict[str, object], told: str) -> None:
    """Before anything is called."""
    with pytest.raises(NeedsHuman, match=told):
        connect("bad", settings, {})


def test_aws_out_of_reach_is_tried_later() -> None:
    """A connection that is refused, translated; and as a finding of the check."""
    nowhere = {"region": "eu-central-1", "endpoint_url": "http://127.0.0.1:9"}
    with closing(connect("nowhere", nowhere, KEYS)) as site:
        with pytest.raises(TryLater):
            site.now()
        assert [finding.ok for finding in site.check()] == [False]
        (row,) = site.fence([(new_id(), 1)], "end")
        assert isinstance(row.error, SiteError)


def test_a_volume_s_size_is_metered_and_what_aws_does_not_tell_is_missing(site: AwsSite, account: Spec) -> None:
    """Bytes sent are a gap. A volume that grew counts as smaller before."""
    complete(site, account)
    opened = site.open(account, MINUTE * 20, 2)
    since = opened.starts_at
    site.parts["storage"].ensure(replace(account, storage=account.storage + 2 * GIB))

    def stored() -> int:
        return sum(one.amounts["storage"] for one in site.usage(account.account, since))

    until(lambda: stored() > 0, "the first second of it")
    told = site.usage(account.account, since)
    assert {meter for one in told for meter in one.amounts} == {"cpu", "memory", "storage"}
    held = (site.now() - since).total_seconds() + 1  # AWS's clock is read to the second
    assert stored() <= (account.storage + 3 * GIB) * held
