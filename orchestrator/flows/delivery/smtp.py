"""One connection to the mail server. What servers say may name the addressee, so only their codes are ever repeated."""

import re
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from orchestrator.flows.delivery.patience import Patience
from orchestrator.settings import Mail, secret_in

_STATUS = re.compile(rb"^([245]\.[0-9]{1,3}\.[0-9]{1,3})\b")


LONGEST = 1.5
"""How much longer than `timeout`, which bounds one wait, a whole conversation may take: with the usual 20 s half of a
claim, of which the other half is for what came before."""


class MailError(Exception):
    """The mail was not taken. No address is in the message."""


class ServerAway(MailError):
    """It is the server, or how it is set up here: no other mail would be taken either."""


class NotNow(MailError):
    """This mail may be taken later."""


class NeverTaken(MailError):
    """This mail will not be taken, however often it comes."""


class Session:
    """Connects when there is something to send, and stays connected. Not for several threads at once."""

    def __init__(self, mail: Mail, home: Path) -> None:
        self._mail, self._home = mail, home
        self._smtp: smtplib.SMTP | None = None
        self._patience = Patience(mail.timeout * LONGEST)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        if self._smtp is not None:
            try:
                with self._bounded():
                    self._smtp.quit()
            except (smtplib.SMTPException, OSError):
                self._drop()

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        """`timeout` bounds each wait alone: a server that answers a byte at a time would never be done."""
        self._patience.watch(self._smtp)
        try:
            with self._patience:
                yield
        except MailError:
            if self._patience.ran_out:
                self._drop()
                raise ServerAway(f"the mail server took longer than {self._patience.limit:g} s in all") from None
            raise

    def send(self, message: EmailMessage, to: str) -> None:
        """Hand it over; the server has it when this returns. Raises MailError."""
        with self._bounded():
            self._send(message, to)

    def _send(self, message: EmailMessage, to: str) -> None:
        smtp = self._connected()
        try:
            smtp.send_message(message, self._mail.sender, [to])
        except smtplib.SMTPRecipientsRefused as refused:
            code, words = next(iter(refused.recipients.values()))
            raise _refusal("to the addressee", code, words) from None
        except smtplib.SMTPDataError as refused:
            raise _refusal("to the mail", refused.smtp_code, refused.smtp_error) from None
        except smtplib.SMTPResponseException as refused:
            raise ServerAway(f"the mail server's answer to us was {_told(refused.smtp_code, refused.smtp_error)}"
                             ) from None
        except (smtplib.SMTPException, OSError) as failed:
            self._drop()
            raise ServerAway(f"the mail server broke off: {_named(failed)}") from None

    def check(self) -> str:
        """Connect, and say how. Raises ServerAway."""
        with self._bounded():
            self._connected()
        mail = self._mail
        return f"{mail.host}:{mail.port_used()} ({mail.tls}{', as ' + mail.user if mail.user else ''})"

    def _connected(self) -> smtplib.SMTP:
        if self._smtp is not None:
            try:
                # Servers close a connection that has lain still, or has brought enough.
                if self._smtp.noop()[0] == 250:
                    return self._smtp
            except (smtplib.SMTPException, OSError):
                pass
            self._drop()
        self._smtp = self._connect()
        return self._smtp

    def _connect(self) -> smtplib.SMTP:
        mail, timeout = self._mail, self._mail.timeout.total_seconds()
        where = f"the mail server {mail.host}:{mail.port_used()}"
        password = self._password()
        smtp: smtplib.SMTP | None = None
        try:
            if mail.tls == "implicit":
                smtp = _Implicit(self._patience, mail.host, mail.port_used(), mail.domain, timeout=timeout,
                                 context=self._trust())
            else:
                smtp = _Plain(self._patience, mail.host, mail.port_used(), mail.domain, timeout=timeout)
            if mail.tls == "starttls":
                smtp.starttls(context=self._trust())
            if mail.user:
                smtp.login(mail.user, password)
            if self._patience.ran_out:
                raise TimeoutError(where)  # half an answer may have looked like a whole one
        except smtplib.SMTPResponseException as refused:
            _close(smtp)
            raise ServerAway(f"{where} answered {_told(refused.smtp_code, refused.smtp_error)}"
                             f"{' to user and password' if smtp and mail.user else ''}") from None
        except (smtplib.SMTPException, OSError) as failed:
            _close(smtp)
            raise ServerAway(f"{where}: {_named(failed)}") from None
        except UnicodeError:
            _close(smtp)
            raise ServerAway(f"{where}: user and password have to be plain ASCII") from None
        return smtp

    def _trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self._home / self._mail.ca_file) if self._mail.ca_file else None)

    def _password(self) -> str:
        if not self._mail.password_file:
            return ""
        file = self._home / self._mail.password_file
        try:
            return secret_in(file)
        except (OSError, ValueError) as unfit:
            raise ServerAway(f"the mail password's file cannot be used: {unfit}") from None

    def _drop(self) -> None:
        _close(self._smtp)
        self._smtp = None


class _Plain(smtplib.SMTP):
    """Watched from before it connects: a server may dawdle with its first line."""

    def __init__(self, patience: Patience, *given: Any, **more: Any) -> None:
        patience.watch(self)
        super().__init__(*given, **more)


class _Implicit(smtplib.SMTP_SSL):
    """The same within TLS."""

    def __init__(self, patience: Patience, *given: Any, **more: Any) -> None:
        patience.watch(self)
        super().__init__(*given, **more)


def _close(smtp: smtplib.SMTP | None) -> None:
    if smtp is not None:
        smtp.close()


def _refusal(what: str, code: int, words: bytes | str) -> MailError:
    """4xx: later. 5xx: never, unless it is a matter of policy (X.7.X), which an operator can put right."""
    said = f"the mail server's answer {what} was {_told(code, words)}"
    if code == 421:
        return ServerAway(said)
    if 500 <= code < 600 and not _status(words).startswith("5.7."):
        return NeverTaken(said)
    return NotNow(said)


def _told(code: int, words: bytes | str) -> str:
    return f"{code} {_status(words)}".strip()


def _status(words: bytes | str) -> str:
    found = _STATUS.match(words if isinstance(words, bytes) else words.encode())
    return found.group(1).decode() if found else ""


def _named(failed: Exception) -> str:
    """The words of this machine and of smtplib itself are told; a server's are not."""
    ours = not isinstance(failed, smtplib.SMTPException) or isinstance(
        failed, smtplib.SMTPServerDisconnected | smtplib.SMTPNotSupportedError)
    return f"{type(failed).__name__}: {failed}" if ours else type(failed).__name__
