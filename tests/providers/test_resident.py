"""What Pulumi's engine is answered, asked over the wire as the engine asks."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from providers.memory.site import MemorySite, connect
from providers.protocol import Fact, NeedsHuman, PartName, Refused, Spec
from providers.resident import InFlight, ResidentProvider, Run, drifted, plain
from tests.providers import specs


@pytest.fixture
def provider() -> Iterator[ResidentProvider]:
    made = ResidentProvider()
    made.start()
    yield made
    made.close()


@pytest.fixture
def engine(provider: ResidentProvider) -> Iterator[Any]:
    with grpc.insecure_channel(f"127.0.0.1:{provider.port}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)


@pytest.fixture
def site() -> MemorySite:
    return connect(f"memory-{specs.new_id()}", {}, {})


@pytest.fixture
def spec(site: MemorySite) -> Spec:
    made = specs.spec()
    site.arm(made, datetime.now(UTC) + timedelta(hours=1), generation=1)
    return made


@pytest.fixture
def run(provider: ResidentProvider, site: MemorySite, spec: Spec) -> Iterator[Run]:
    with provider.begin(spec, site, "up") as begun:
        yield begun


def urn(spec: Spec, kind: str, project: str = "tenure") -> str:
    return f"urn:pulumi:{spec.account}::{project}::tenure:index:{kind}::{kind.lower()}"


def struct(**values: Any) -> Struct:
    made = Struct()
    made.update(values)
    return made


def created(engine: Any, spec: Spec, kind: str) -> Any:
    return engine.Create(provider_pb2.CreateRequest(urn=urn(spec, kind)), timeout=10)


def test_create_ensures_the_part(engine: Any, run: Run, spec: Spec, site: MemorySite) -> None:
    """The part is at the site, and its facts are the resource's outputs."""
    answer = created(engine, spec, "Account")
    seen = site.parts["account"].observe(spec)
    assert seen is not None
    assert plain(answer.properties) == {"facts": dict(seen.facts), "drift": {}}


def test_a_previewed_create_touches_nothing(engine: Any, run: Run, spec: Spec, site: MemorySite) -> None:
    """A preview asks for a create too; nothing is at the site after it."""
    engine.Create(provider_pb2.CreateRequest(urn=urn(spec, "Account"), preview=True), timeout=10)
    assert site.parts["account"].observe(spec) is None


@pytest.mark.parametrize("call", ["Create", "Update", "Read", "Delete", "Diff"])
def test_what_is_not_in_flight_is_refused(engine: Any, spec: Spec, call: str) -> None:
    """Without a run of this worker on that account, no operation reaches a site."""
    request = getattr(provider_pb2, f"{call}Request")(urn=urn(spec, "Account"))
    with pytest.raises(grpc.RpcError) as caught:
        getattr(engine, call)(request, timeout=10)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    "urn_of", [lambda spec: urn(spec, "Account", "other"), lambda spec: urn(spec, "Lake"), lambda spec: "nonsense"]
)
def test_what_is_not_one_of_the_five_is_refused(engine: Any, run: Run, spec: Spec, urn_of: Any) -> None:
    """Another project's resource, an unknown kind, a malformed name: refused, even while the account is in flight."""
    with pytest.raises(grpc.RpcError) as caught:
        engine.Create(provider_pb2.CreateRequest(urn=urn_of(spec)), timeout=10)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_a_run_that_has_ended_is_refused(engine: Any, provider: ResidentProvider, spec: Spec, site: MemorySite) -> None:
    """A CLI that outlives its run changes nothing any more."""
    with provider.begin(spec, site, "up"):
        created(engine, spec, "Account")
    with pytest.raises(grpc.RpcError):
        engine.Delete(provider_pb2.DeleteRequest(urn=urn(spec, "Account")), timeout=10)
    assert site.parts["account"].observe(spec) is not None


def test_one_run_an_account(provider: ResidentProvider, run: Run, spec: Spec, site: MemorySite) -> None:
    """A second run on the same account cannot begin."""
    with pytest.raises(InFlight), provider.begin(spec, site, "up"):
        pass


def test_a_parts_error_is_kept_whole(engine: Any, run: Run, spec: Spec) -> None:
    """The engine gets the words; the run keeps the exception with its class."""
    with pytest.raises(grpc.RpcError, match="before the account itself"):
        created(engine, spec, "Storage")
    assert isinstance(run.errors[0], Refused)


def test_a_changed_limit_is_an_update(engine: Any, run: Run, spec: Spec) -> None:
    """Another size changes in place, and the difference says so property by property."""
    answer = engine.Diff(
        provider_pb2.DiffRequest(urn=urn(spec, "Storage"), old_inputs=struct(storage=1), news=struct(storage=2)),
        timeout=10,
    )
    assert answer.detailedDiff["storage"].kind == provider_pb2.PropertyDiff.UPDATE
    assert not answer.replaces


@pytest.mark.parametrize("whose", ["account", "site"])
def test_whose_part_it_is_cannot_change_in_place(engine: Any, run: Run, spec: Spec, whose: str) -> None:
    """Another account or another site is a replacement."""
    answer = engine.Diff(
        provider_pb2.DiffRequest(
            urn=urn(spec, "Storage"), old_inputs=struct(**{whose: "a"}), news=struct(**{whose: "b"})
        ),
        timeout=10,
    )
    assert answer.detailedDiff[whose].kind == provider_pb2.PropertyDiff.UPDATE_REPLACE
    assert list(answer.replaces) == [whose]


def test_a_drifted_identity_is_a_replacement(engine: Any, run: Run, spec: Spec, site: MemorySite) -> None:
    """A fact of the part's identity that a refresh found changed makes it another part."""
    fact = sorted(site.parts["storage"].identity)[0]
    olds = struct(facts={fact: "made"}, drift={fact: "seen"})
    answer = engine.Diff(provider_pb2.DiffRequest(urn=urn(spec, "Storage"), olds=olds), timeout=10)
    assert list(answer.replaces) == [f"drift.{fact}"]


class FixedNetwork:
    """A network that keeps its rate for as long as it has one."""

    name: PartName = "network"
    identity: frozenset[str] = frozenset()

    def rigid(self, facts: Mapping[str, Fact], spec: Spec) -> frozenset[str]:
        return frozenset() if facts["rate"] in (0, spec.rate) else frozenset({"rate"})


@pytest.mark.parametrize(("drift", "replaced"), [({}, ["rate"]), ({"rate": 0}, [])])
def test_a_part_may_keep_what_it_has(
    engine: Any, provider: ResidentProvider, spec: Spec, drift: dict[str, int], replaced: list[str]
) -> None:
    """Who asks beforehand hears of a replacement, unless a refresh has found that it is gone."""
    kept = connect(f"memory-{specs.new_id()}", {}, {})
    kept.parts = {"network": FixedNetwork()}  # type: ignore[dict-item]
    olds = struct(facts={"rate": spec.rate + 1}, drift=drift)
    with provider.begin(spec, kept, "preview"):
        answer = engine.Diff(provider_pb2.DiffRequest(urn=urn(spec, "Network"), olds=olds), timeout=10)
    assert [name for name in answer.replaces if not name.startswith("drift")] == replaced


def test_nothing_changed_is_no_difference(engine: Any, run: Run, spec: Spec) -> None:
    """Same inputs, no drift: the engine is told so."""
    inputs = struct(storage=1, models=["a"])
    answer = engine.Diff(provider_pb2.DiffRequest(urn=urn(spec, "Storage"), old_inputs=inputs, news=inputs), timeout=10)
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE


def test_a_lost_storage_is_never_answered_as_gone(engine: Any, run: Run, spec: Spec) -> None:
    """A refresh of a live account whose storage is gone fails, for Pulumi would make it anew."""
    with pytest.raises(grpc.RpcError, match="its storage is gone"):
        engine.Read(provider_pb2.ReadRequest(urn=urn(spec, "Storage"), id="x"), timeout=10)
    assert isinstance(run.errors[0], NeedsHuman)


def test_a_lost_network_is_a_drift(engine: Any, run: Run, spec: Spec) -> None:
    """A part without data stays in Pulumi's state, noted as missing."""
    answer = engine.Read(
        provider_pb2.ReadRequest(urn=urn(spec, "Network"), id="x", properties=struct(facts={"rate": 1})), timeout=10
    )
    assert (answer.id, plain(answer.properties)) == ("x", {"facts": {"rate": 1}, "drift": {"missing": True}})


@pytest.mark.parametrize("purpose", ["up", "preview", "refresh"])
def test_only_a_destroy_deletes(
    engine: Any, provider: ResidentProvider, spec: Spec, site: MemorySite, purpose: Any
) -> None:
    """Whatever else the engine runs, a delete is refused and the part stays."""
    with provider.begin(spec, site, "up"):
        created(engine, spec, "Account")
    with provider.begin(spec, site, purpose), pytest.raises(grpc.RpcError, match="nothing was removed"):
        engine.Delete(provider_pb2.DeleteRequest(urn=urn(spec, "Account")), timeout=10)
    assert site.parts["account"].observe(spec) is not None


def test_deleting_what_is_gone_is_done(engine: Any, provider: ResidentProvider, spec: Spec, site: MemorySite) -> None:
    """A part that is not there is removed without ado."""
    with provider.begin(spec, site, "destroy") as run:
        engine.Delete(provider_pb2.DeleteRequest(urn=urn(spec, "Storage")), timeout=10)
    assert run.errors == []


def test_drift_names_what_was_made_otherwise() -> None:
    """A fact that is new at the site is no drift; one that is other or absent is."""
    assert drifted({"a": 1, "b": [1], "c": "x"}, {"a": 1, "b": [2], "d": 5}) == {"b": [2], "c": ""}


def test_whole_numbers_stay_whole() -> None:
    """Protobuf has floats only; sizes come back as they were given."""
    values = {"bytes": 9_007_199_254_740_992, "names": ["a", "b"], "deep": {"n": 3}, "yes": True}
    assert plain(struct(**values)) == values
