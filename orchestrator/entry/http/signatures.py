"""Standard Webhooks, coming in: which sender signed these bytes, if any.

Nothing is said about a body before its signature is right, and every way of being wrong costs about the same time.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fastapi import Request
from standardwebhooks import Webhook

TOLERANCE = timedelta(minutes=5)
SENDER_HEADER = "x-tenure-sender"
_ID = re.compile(r"[\x21-\x7e]{1,200}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMESTAMP = re.compile(r"[0-9]{1,11}")
_SENDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SIGNATURES = 10
"""A sender in the middle of a rotation signs twice; more than these are not looked at."""


class Unsigned(Exception):
    """These bytes are not shown to come from a known sender now. `code` says why, as far as is safe to say."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Envelope:
    """The headers of a webhook, well formed but not yet believed."""

    event: str
    at: datetime
    signatures: tuple[bytes, ...]
    sender: str | None
    """Who it says it is from (`?sender=` or `X-Tenure-Sender`); None leaves it to the signature."""


def open_envelope(request: Request) -> Envelope:
    """The webhook's headers. Raises Unsigned."""
    signature = _one(request, "webhook-signature", "signature_missing")
    event = _one(request, "webhook-id", "headers_malformed")
    stamp = _one(request, "webhook-timestamp", "headers_malformed")
    if not _ID.fullmatch(event):
        raise Unsigned("headers_malformed", "webhook-id must be 1 to 200 visible ASCII characters")
    if not _TIMESTAMP.fullmatch(stamp):
        raise Unsigned("headers_malformed", "webhook-timestamp must be whole seconds since 1970")
    return Envelope(event, _EPOCH + timedelta(seconds=int(stamp)), _signatures(signature), _claimed_sender(request))


def _one(request: Request, header: str, code: str) -> str:
    values = request.headers.getlist(header)
    if not values:
        raise Unsigned(code, f"the header {header} is missing")
    if len(values) > 1:
        raise Unsigned("headers_malformed", f"the header {header} stands there {len(values)} times")
    return values[0]


def _signatures(header: str) -> tuple[bytes, ...]:
    found = []
    for one in header.split(" ")[:_SIGNATURES]:
        version, _, text = one.partition(",")
        if version != "v1":
            continue
        try:
            found.append(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError):
            continue
    if not found:
        raise Unsigned("headers_malformed", "webhook-signature holds no `v1,` signature in base64")
    return tuple(found)


def _claimed_sender(request: Request) -> str | None:
    named = [*request.query_params.getlist("sender"), *request.headers.getlist(SENDER_HEADER)]
    if len(set(named)) > 1 or any(not _SENDER.fullmatch(name) for name in named):
        raise Unsigned("headers_malformed", "sender is not one sender's name")
    return named[0] if named else None


def check_time(envelope: Envelope, now: datetime) -> None:
    """Raises Unsigned for a webhook signed more than five minutes ago or ahead."""
    if abs(envelope.at - now) > TOLERANCE:
        word = "old" if envelope.at < now else "new"
        raise Unsigned("timestamp_out_of_window", f"webhook-timestamp is too {word}: it must be within five minutes"
                                                  f" of {now.isoformat(timespec='seconds')}")


def signed_by(envelope: Envelope, body: bytes, secrets: Sequence[str]) -> bool:
    """Whether one of these secrets signed this; looks at all of them, whichever is right."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    right = False
    for secret in secrets:
        expected = base64.b64decode(Webhook(secret).sign(envelope.event, envelope.at, text).partition(",")[2])
        for given in envelope.signatures:
            right |= hmac.compare_digest(expected, given)
    return right
