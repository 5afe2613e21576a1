"""Runs the account's program inside the worker when Pulumi's CLI asks for it, instead of in a process of its own."""

import asyncio
import contextvars
import logging
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.errors import RunError
from pulumi.runtime import reset_options, run_in_stack
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from providers.protocol import PartName, Seen
from providers.resident import ResidentProvider, Run
from stacks.account import account

logger = logging.getLogger(__name__)


class Language(language_pb2_grpc.LanguageRuntimeServicer):
    """One language host for all stacks: the stack's name says which run is meant."""

    def __init__(self, register: ResidentProvider) -> None:
        self._register = register

    def add_to(self, server: grpc.Server) -> None:
        language_pb2_grpc.add_LanguageRuntimeServicer_to_server(self, server)

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        return plugin_pb2.PluginInfo()

    def GetRequiredPlugins(self, request: Any, context: grpc.ServicerContext) -> Any:
        return language_pb2.GetRequiredPluginsResponse()

    def GetRequiredPackages(self, request: Any, context: grpc.ServicerContext) -> Any:
        return language_pb2.GetRequiredPackagesResponse()

    def About(self, request: Any, context: grpc.ServicerContext) -> Any:
        return language_pb2.AboutResponse(executable=sys.executable)

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Empty:
        return Empty()

    def Run(self, request: Any, context: grpc.ServicerContext) -> Any:
        run = self._register.run_of(request.stack, request.project)
        if run is None:
            return language_pb2.RunResponse(error=f"{request.stack}: this worker runs no operation on that stack")
        # The SDK keeps its settings in context variables; a copy keeps concurrent runs apart.
        return contextvars.copy_context().run(execute, request, run, context)


def execute(request: Any, run: Run, context: grpc.ServicerContext) -> Any:
    """Run the account's program against the monitor that the CLI has opened for it."""
    reset_options(
        project=request.project,
        stack=request.stack,
        monitor_address=request.monitor_address,
        engine_address=request.args[0] if request.args else "",
        parallel=request.parallel,
        preview=request.dryRun,
        organization=request.organization or "organization",
    )
    try:
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            loop.set_default_executor(ThreadPoolExecutor(8, "program"))
            loop.set_exception_handler(left_over)
            runner.run(program(run, context))
    except RunError as error:
        return language_pb2.RunResponse(error=str(error))
    except (grpc.RpcError, asyncio.CancelledError):
        # The CLI closes its monitor as soon as one resource has failed; the failure itself is already in the run.
        return language_pb2.RunResponse(error="" if run.errors else "Pulumi's monitor went away")
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the caller of the run, not to the server
        run.errors.append(error)
        return language_pb2.RunResponse(error=f"the account's program failed: {error!r}")
    return language_pb2.RunResponse()


async def program(run: Run, context: grpc.ServicerContext) -> None:
    """The program, for as long as the CLI waits for it: the SDK alone waits for ever for a CLI that is gone."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def gone() -> None:
        # The loop is closed where the program has ended as it should.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(task.cancel)

    def report(name: PartName, facts: Mapping[str, Any]) -> None:
        run.seen[name] = Seen(name, {key: whole(value) for key, value in facts.items()})

    if context.add_callback(gone):
        await run_in_stack(lambda: account(run.spec, run.site.name, report))


def left_over(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Calls that were on their way to a CLI that has given up; why it did stands in the run."""
    logger.debug("a Pulumi program was left with: %s", context.get("message"), exc_info=context.get("exception"))


def whole(value: Any) -> Any:
    """Pulumi's numbers come back as floats; ours are whole."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
