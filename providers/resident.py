"""Pulumi's resource provider protocol, served inside the worker: each resource operation becomes one call of a Part.

It serves only operations that its own worker has in flight. What a lost part means to a live account is decided here,
because nowhere else can stop Pulumi from making it anew: see `Resident.Read`.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final, Literal, NoReturn, TypeVar

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import ListValue, Struct
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from providers.protocol import PARTS, NeedsHuman, Part, PartName, Refused, Rigid, Seen, Site, SiteError, Spec

logger = logging.getLogger(__name__)

PROJECT: Final = "tenure"
"""Name of the Pulumi project and of the package whose resources this provider serves."""
WHOSE: Final = frozenset({"account", "site"})
"""Inputs that say whose part it is and where: another value is another part."""
KEPT: Final = frozenset({"account", "storage"})
"""Parts that hold what a holder cannot get back. A live account that has lost one is an operator's matter."""

T = TypeVar("T")

Purpose = Literal["up", "preview", "refresh", "destroy"]


@dataclass
class Run:
    """One stack operation in flight: what its resource operations may touch, and what came of them."""

    spec: Spec
    site: Site
    purpose: Purpose
    seen: dict[PartName, Seen] = field(default_factory=dict)
    errors: list[Exception] = field(default_factory=list)


class InFlight(Exception):
    """This worker already runs an operation on that account's stack."""


class ResidentProvider:
    """The server that Pulumi attaches to on loopback, and the register of runs it may serve."""

    def __init__(self, threads: int = 32) -> None:
        self.port = 0
        self._runs: dict[str, Run] = {}
        self._lock = Lock()
        self._threads = threads
        self._server: grpc.Server | None = None

    def start(self, also: Callable[[grpc.Server], None] | None = None) -> int:
        """Listen on a free port of loopback and return it; `also` may add further services to the same server."""
        server = grpc.server(ThreadPoolExecutor(self._threads, "resident"))
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(Resident(self), server)
        if also:
            also(server)
        self.port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self._server = server
        return self.port

    def close(self) -> None:
        """Serve nothing any more."""
        if self._server:
            self._server.stop(None).wait(5)
            self._server = None

    @contextmanager
    def begin(self, spec: Spec, site: Site, purpose: Purpose) -> Iterator[Run]:
        """While this is open, operations on the account's resources are served; one at a time per account."""
        run = Run(spec, site, purpose)
        with self._lock:
            if spec.account in self._runs:
                raise InFlight(f"account {spec.account}: this worker already runs its stack")
            self._runs[spec.account] = run
        try:
            yield run
        finally:
            with self._lock:
                del self._runs[spec.account]

    def run_of(self, stack: str, project: str) -> Run | None:
        """The run in flight for a stack, if it is ours."""
        with self._lock:
            return self._runs.get(stack) if project == PROJECT else None


class Resident(provider_pb2_grpc.ResourceProviderServicer):
    """The protocol itself. The plain generated servicer: unlike the SDK's experimental layer it has `Attach` and hands
    the old inputs to `Diff`; and a part's call blocks, so that a thread per operation is what is needed anyway."""

    def __init__(self, register: ResidentProvider) -> None:
        self._register = register

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.ProviderHandshakeResponse()

    def Attach(self, request: Any, context: grpc.ServicerContext) -> Empty:
        return Empty()

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Empty:
        return Empty()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        return plugin_pb2.PluginInfo(version="1.0.0")

    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Whose it is and the part's identity cannot change in place; everything else can, unless the part itself says
        otherwise to who asks beforehand."""
        part, run = self._part(request.urn, context)
        old, new = plain(request.old_inputs), plain(request.news)
        changed = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
        fixed = WHOSE | part.identity
        kinds = {name: name in fixed for name in changed}
        made = plain(request.olds)
        kinds |= {f"drift.{name}": name in fixed for name in made.get("drift", {})}
        if isinstance(part, Rigid) and run.purpose == "preview":
            kinds |= dict.fromkeys(part.rigid(made.get("facts", {}) | made.get("drift", {}), run.spec), True)
        return difference(kinds)

    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:
        part, run = self._part(request.urn, context)
        if request.preview:
            return provider_pb2.CreateResponse()
        seen = self._call(run, context, lambda: part.ensure(run.spec))
        return provider_pb2.CreateResponse(id=f"{run.spec.account}-{part.name}", properties=outputs(seen.facts))

    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:
        part, run = self._part(request.urn, context)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=request.olds)
        seen = self._call(run, context, lambda: part.ensure(run.spec))
        return provider_pb2.UpdateResponse(properties=outputs(seen.facts))

    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:
        """What the site shows, beside what was made there. Never answers "gone": Pulumi would forget the part and
        make it anew, and a holder's data would be replaced by an empty place. A lost part that can be repaired is a
        drift; a lost one of KEPT stops the run."""
        part, run = self._part(request.urn, context)
        made = plain(request.properties).get("facts", {})
        seen = self._call(run, context, lambda: part.observe(run.spec))
        if seen is None and part.name in KEPT:
            self._fail(run, context, lost(part, run))
        drift = {"missing": True} if seen is None else drifted(made, seen.facts)
        return provider_pb2.ReadResponse(id=request.id, properties=outputs(made, drift), inputs=request.inputs)

    def Delete(self, request: Any, context: grpc.ServicerContext) -> Empty:
        part, run = self._part(request.urn, context)
        if run.purpose != "destroy":
            self._fail(run, context, replaced(part, run))
        self._call(run, context, lambda: part.remove(run.spec))
        return Empty()

    def _part(self, urn: str, context: grpc.ServicerContext) -> tuple[Part, Run]:
        stack, project, kind = [*urn.removeprefix("urn:pulumi:").split("::"), "", "", ""][:3]
        run = self._register.run_of(stack, project)
        name = kind.rpartition(":")[2].lower()
        if run is None or name not in PARTS:
            logger.warning("refused a resource operation that this worker has not asked for: %r", urn)
            abort(context, grpc.StatusCode.PERMISSION_DENIED, f"{urn}: this worker has no such operation in flight")
        return run.site.parts[name], run

    def _call(self, run: Run, context: grpc.ServicerContext, act: Callable[[], T]) -> T:
        try:
            return act()
        except Exception as error:  # noqa: BLE001 - kept whole for the caller of the run; Pulumi gets the words only
            self._fail(run, context, error)

    def _fail(self, run: Run, context: grpc.ServicerContext, error: Exception) -> NoReturn:
        run.errors.append(error)
        if not isinstance(error, SiteError):
            logger.error("account %s: a part failed in a way it has no word for", run.spec.account, exc_info=error)
        abort(context, grpc.StatusCode.UNKNOWN, str(error) or repr(error))


def abort(context: grpc.ServicerContext, code: Any, words: str) -> NoReturn:
    """End the call with an error; gRPC raises to that end."""
    context.abort(code, words)
    raise AssertionError("gRPC went on after an abort")


def lost(part: Part, run: Run) -> NeedsHuman:
    """The error of a live account that has lost what its holder cannot get back."""
    account = run.spec.account
    return NeedsHuman(
        f"account {account}: its {part.name} is gone at {run.site.name}; it is not made anew while the account lives",
        remedy=f"find out what removed it, restore it under the same name, or reclaim the account ({account})",
    )


def replaced(part: Part, run: Run) -> Refused:
    """The error of an update that would take a part of a live account away."""
    return Refused(
        f"account {run.spec.account}: this would remove its {part.name} at {run.site.name}; nothing was removed"
    )


def drifted(made: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, Any]:
    """What the site shows now of those facts that are not as they were made."""
    return {name: seen.get(name, "") for name in made if made[name] != seen.get(name)}


def difference(kinds: Mapping[str, bool]) -> Any:
    """Pulumi's answer for changed properties; True means that it cannot change in place."""
    diff = provider_pb2.PropertyDiff
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if kinds else provider_pb2.DiffResponse.DIFF_NONE,
        diffs=sorted({name.partition(".")[0] for name in kinds}),
        replaces=[name for name, fixed in kinds.items() if fixed],
        deleteBeforeReplace=True,
        hasDetailedDiff=True,
        detailedDiff={
            name: diff(kind=diff.UPDATE_REPLACE if fixed else diff.UPDATE, inputDiff=not name.startswith("drift."))
            for name, fixed in kinds.items()
        },
    )


def outputs(facts: Mapping[str, Any], drift: Mapping[str, Any] | None = None) -> Struct:
    """A resource's outputs: the facts as made, and what of them a refresh found to be otherwise."""
    struct = Struct()
    struct.update({"facts": dict(facts), "drift": dict(drift or {})})
    return struct


def plain(struct: Struct) -> dict[str, Any]:
    """A protobuf struct as Python values; its numbers are all floats, ours are all whole."""
    return {name: _plain(value) for name, value in struct.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Struct):
        return plain(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, ListValue):
        return [_plain(item) for item in value]
    return value
