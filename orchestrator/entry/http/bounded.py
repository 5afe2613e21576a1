"""An HTTP client for a server that the operator has named: no redirects, no proxy, bounded in size and in time."""

import time
from collections.abc import Iterator
from datetime import timedelta

import httpx

from orchestrator.flows.delivery.patience import Line, Patience

MOST = 1 << 20


class _Body(httpx.SyncByteStream):
    def __init__(self, body: httpx.SyncByteStream, until: float) -> None:
        self._body, self._until = body, until

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for chunk in self._body:
            size += len(chunk)
            if size > MOST:
                raise httpx.ReadError(f"the answer is larger than {MOST} bytes")
            if time.monotonic() > self._until:
                raise httpx.ReadTimeout("the answer takes too long")
            yield chunk

    def close(self) -> None:
        self._body.close()


class _Bounded(httpx.HTTPTransport):
    def __init__(self, patience: float) -> None:
        super().__init__()
        self._patience = patience

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        until, connection = time.monotonic() + self._patience, Line()
        request.extensions = {**request.extensions, "trace": connection.told}
        with Patience(timedelta(seconds=self._patience)) as patience:
            patience.watch(connection)
            answer = super().handle_request(request)
        assert isinstance(answer.stream, httpx.SyncByteStream)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=_Body(answer.stream, until),
                              extensions=answer.extensions)


def client(timeout: timedelta) -> httpx.Client:
    """To be closed by its user. `timeout` holds for connecting, for each pause, for the whole head of an answer, and
    for its body."""
    seconds = timeout.total_seconds()
    return httpx.Client(transport=_Bounded(seconds), timeout=seconds, follow_redirects=False, trust_env=False,
                        headers={"accept": "application/json", "accept-encoding": "identity"})
