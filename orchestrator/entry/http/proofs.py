"""Clean-exit certificates (清退证明): the exact bytes, their signature, and the key to verify them with."""

import base64
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import PlainTextResponse, Response

from orchestrator.entry.http.accounts import AccountPath
from orchestrator.entry.http.auth import READERS, Caller, caller, visible
from orchestrator.entry.http.desk import Desk
from orchestrator.entry.http.documents import refusals
from orchestrator.entry.http.problems import Problem
from orchestrator.flows.endings.certificate import public_key
from orchestrator.lifecycle.account import State
from orchestrator.store import certificates
from orchestrator.store.certificates import Certificate

SIGNATURE_HEADER = "Tenure-Signature"


def routes(desk: Desk) -> APIRouter:
    """Certificate, signature, key."""
    router = APIRouter(prefix="/v1", tags=["certificates"])
    asking = Depends(caller(desk, READERS))
    answers = refusals(401, 403, 404, 429, 503)
    pem: list[bytes] = []

    @router.get("/accounts/{account}/certificate", operation_id="readCertificate", responses=answers | {
                200: {"content": {"application/json": {"schema": {"type": "object"}}}}}, response_class=Response,
                summary="The clean-exit certificate: exactly the bytes that were signed")
    async def certificate(account: AccountPath, by: Annotated[Caller, asking]) -> Response:
        found = await _certificate(desk, by, account)
        return Response(found.document, media_type="application/json", headers={
            SIGNATURE_HEADER: "ed25519=" + base64.b64encode(found.signature).decode(),
            "Content-Disposition": f'attachment; filename="{account}.certificate.json"'})

    @router.get("/accounts/{account}/certificate.sig", operation_id="readCertificateSignature", responses=answers | {
                200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
                response_class=Response, summary="Its detached Ed25519 signature, 64 bytes")
    async def signature(account: AccountPath, by: Annotated[Caller, asking]) -> Response:
        found = await _certificate(desk, by, account)
        return Response(found.signature, media_type="application/octet-stream", headers={
            "Content-Disposition": f'attachment; filename="{account}.certificate.sig"'})

    @router.get("/certificate-key", operation_id="readCertificateKey", response_class=PlainTextResponse,
                summary="The public key that certificates verify with, PEM; no token needed", responses=refusals(503))
    async def key() -> Response:
        # Kept: reading it takes the writer's turn, and it never changes.
        if not pem:
            pem.append(await desk.lanes.write(public_key, desk.ctx.store))
        return Response(pem[0], media_type="application/x-pem-file")

    return router


async def _certificate(desk: Desk, by: Caller, account: str) -> Certificate:
    record = await visible(desk, by, account)
    found = await desk.lanes.read(_kept, desk, record.id)
    if found is None and record.account.state is State.RECLAIMED:
        raise Problem(404, "no_certificate", f"account {account}: its booking was cancelled before any site knew it: "
                                             "there was nothing to remove, and there is nothing to certify")
    if found is None:
        raise Problem(404, "no_certificate", f"account {account} is {record.account.state.value}: its certificate is"
                                             " made when nothing of it is left")
    return found


def _kept(desk: Desk, account: str) -> Certificate | None:
    with desk.ctx.store.read() as tx:
        return certificates.get(tx, account)
