"""A real mail server on loopback, as strict or as broken as a test wants: TLS, AUTH, codes of all kinds, silence."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from orchestrator.settings import Mail

USER, PASSWORD = "tenure", "correct horse"


@dataclass
class Box:
    """What the server was handed, and how it answers: an answer by recipient, else by default; None hangs."""

    raw: list[bytes] = field(default_factory=list)
    to: list[str] = field(default_factory=list)
    at_recipient: dict[str, list[str | None]] = field(default_factory=dict)
    at_data: list[str | None] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Event = field(default_factory=threading.Event)

    @property
    def mails(self) -> list[EmailMessage]:
        """Parsed by the standard library, which has not made them alone."""
        return [message_from_bytes(one, policy=policy.default) for one in self.raw]

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str,
                          options: list[str]) -> str:
        self.asked.append(address)
        answers = self.at_recipient.get(address) or ["250 OK"]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer is None:
            await asyncio.to_thread(self.released.wait, 60)
            answer = "451 4.3.0 slept"
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        answer = self.at_data.pop(0) if self.at_data else "250 2.0.0 taken"
        if answer is None:
            await asyncio.to_thread(self.released.wait, 60)
            answer = "451 4.3.0 slept"
        if answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            self.raw.append(envelope.content)
            self.to += envelope.rcpt_tos
            self.arrived.set()
        return answer


class _Office(Controller):
    """aiosmtpd's own controller; only that its port is the kernel's choice is ours."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@dataclass
class PostOffice:
    """The server, its box, and the settings with which Tenure reaches it."""

    box: Box
    settings: Mail
    controller: _Office

    def close(self) -> None:
        self.box.released.set()
        self.controller.stop()


def opened(folder: Path, tls: str = "starttls", port: int = 0, box: Box | None = None) -> PostOffice:
    """A server that wants TLS and a password, unless `tls` is none."""
    folder.mkdir(parents=True, exist_ok=True)
    trust = _certified(folder)
    made = box or Box()
    more: dict[str, Any] = {}
    if tls != "none":
        more = {"authenticator": _checked, "auth_required": True}
    if tls == "starttls":
        more |= {"tls_context": trust, "require_starttls": True}
    elif tls == "implicit":
        more |= {"ssl_context": trust, "auth_require_tls": False}
    office = _Office(made, hostname="127.0.0.1", port=port, **more)
    office.start()
    password = folder / "smtp-password"
    password.write_text(PASSWORD + "\n")
    password.chmod(0o600)
    secret = {} if tls == "none" else {"user": USER, "password_file": str(password)}
    settings = Mail.model_validate({
        "host": "127.0.0.1", "port": office.port, "tls": tls, "ca_file": str(folder / "ca.pem"),
        "sender": "compute@tenure.example", "sender_name": "算力服务 Compute", "timeout": timedelta(seconds=5),
        **secret})
    return PostOffice(made, settings, office)


@contextmanager
def office(folder: Path, tls: str = "starttls") -> Iterator[PostOffice]:
    """It, closed at the end."""
    made = opened(folder, tls)
    try:
        yield made
    finally:
        made.close()


def _checked(server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: Any) -> AuthResult:
    login, password = getattr(given, "login", b""), getattr(given, "password", b"")
    return AuthResult(success=(login, password) == (USER.encode(), PASSWORD.encode()), handled=False)


def _certified(folder: Path) -> ssl.SSLContext:
    """A certificate for this address that is its own authority, in files."""
    if not (folder / "ca.pem").exists():
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
        now = datetime.now(UTC)
        certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
                       .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
                       .not_valid_after(now + timedelta(days=30))
                       .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), False)
                       .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
                       .sign(key, hashes.SHA256()))
        (folder / "ca.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context
