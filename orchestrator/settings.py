"""What an operator may set: <home>/tenure.yaml, each field with its default. Bad values name their field."""

from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

FILE = "tenure.yaml"


class BadSettings(ValueError):
    """The settings file cannot be used; the message names file, field and what is wrong."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Listen(_Part):
    """Where the doors listen."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8740


class Workers(_Part):
    """How much is done at once. Fences and warnings have one lane for each site and wait for none of these."""

    provision: Annotated[int, Field(ge=1, le=64)] = 4
    reclaim: Annotated[int, Field(ge=1, le=64)] = 2
    convert: Annotated[int, Field(ge=1, le=64)] = 2
    poll: timedelta = timedelta(milliseconds=50)
    """How soon another process's new work is found."""


class Callbacks(_Part):
    """Where signed callbacks may go. Private and local addresses only when a network is listed here."""

    allow: tuple[IPv4Network | IPv6Network, ...] = ()
    timeout: timedelta = timedelta(seconds=10)
    give_up_after: timedelta = timedelta(days=5)


class Sessions(_Part):
    """How long a browser stays signed in: in all, and unused."""

    longest: Annotated[timedelta, Field(gt=timedelta(), le=timedelta(days=7))] = timedelta(hours=8)
    idle: Annotated[timedelta, Field(gt=timedelta(), le=timedelta(days=7))] = timedelta(hours=1)


class Oidc(_Part):
    """An OpenID provider that vouches for operators in a browser. Off while there is no issuer."""

    issuer: str = ""
    client_id: str = ""
    client_secret_file: str = ""
    """Path of a file with the secret alone; empty for a public client."""
    scopes: tuple[str, ...] = ("openid",)
    claim: str = "groups"
    """The claim that holds a person's groups, in the ID token or at the provider's userinfo address."""
    roles: dict[str, Literal["viewer", "operator", "admin"]] = {}
    """What each group may do; of several the one that may most."""
    name: str = "OpenID"
    """What the button calls the provider."""
    timeout: Annotated[timedelta, Field(gt=timedelta(), le=timedelta(minutes=1))] = timedelta(seconds=5)

    @field_validator("issuer")
    @classmethod
    def _https(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme != "https" or not parts.hostname) and not (
                parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")):
            raise ValueError("must begin with https:// (http:// on this machine only)")
        return url

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.issuer and not (self.client_id and self.roles and "openid" in self.scopes):
            raise ValueError("an issuer needs client_id, roles and the scope openid")
        return self


class Metering(_Part):
    """How often sites are asked what was used, and whether they were out."""

    every: Annotated[timedelta, Field(ge=timedelta(minutes=1), le=timedelta(days=7))] = timedelta(hours=1)
    outages: Annotated[timedelta, Field(ge=timedelta(seconds=1), le=timedelta(days=1))] = timedelta(minutes=1)


_Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:-]{0,252}[A-Za-z0-9])?$")]
_Address = Annotated[str, StringConstraints(
    pattern=r"^[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$")]
_Line = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Mail(_Part):
    """The mail server through which holders are written to. Without this section nobody is, and nothing is queued."""

    host: _Host
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """587, 465 or 25, as `tls` is, when left out."""
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    ca_file: str = ""
    """Certificate authorities of one's own, PEM; empty: the machine's."""
    user: _Line = ""
    password_file: str = ""
    """A file that only its owner can read, read anew for each connection; relative to the home folder."""
    sender: _Address
    sender_name: _Line = ""
    reply_to: _Address | None = None
    timeout: timedelta = timedelta(seconds=20)
    give_up_after: timedelta = timedelta(days=5)

    @model_validator(mode="after")
    def _no_password_in_the_clear(self) -> "Mail":
        if bool(self.user) != bool(self.password_file):
            raise ValueError("user and password_file go together")
        if self.user and self.tls == "none":
            raise ValueError("tls: none would send the password in the clear")
        return self

    @property
    def domain(self) -> str:
        """Where our mail comes from: in Message-IDs, and how we greet the server."""
        return self.sender.partition("@")[2]

    def port_used(self) -> int:
        """The port, as written or as usual."""
        return self.port or {"starttls": 587, "implicit": 465, "none": 25}[self.tls]


class Stack(_Part):
    """Pulumi's state: a backend URL, or files under the home folder when empty."""

    backend: str = ""


class Settings(_Part):
    """Everything, with its defaults."""

    database: str = ""
    """SQLAlchemy URL; empty means SQLite in the home folder."""
    base_url: str = "http://127.0.0.1:8740"
    listen: Listen = Listen()
    stacks: Stack = Stack()
    callbacks: Callbacks = Callbacks()
    mail: Mail | None = None
    workers: Workers = Workers()
    metering: Metering = Metering()
    sessions: Sessions = Sessions()
    oidc: Oidc = Oidc()
    timezone: str = "Asia/Shanghai"
    journal_checkpoint: str = ""
    """Path of the journal's checkpoint, outside the database; empty means in the home folder."""

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as unknown:
            raise ValueError(f"{name!r} is not a time zone (for example Asia/Shanghai)") from unknown
        return name

    @field_validator("base_url")
    @classmethod
    def _plain_base(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return url.rstrip("/")

    def database_url(self, home: Path) -> str:
        """The database's URL; SQLite in the home folder unless set."""
        return self.database or f"sqlite:///{home / 'tenure.db'}"

    def checkpoint(self, home: Path) -> Path:
        """Where the journal's checkpoint lies."""
        return Path(self.journal_checkpoint) if self.journal_checkpoint else home / "journal.checkpoint"


def secret_in(file: Path) -> str:
    """The secret that a file holds. OSError, or ValueError when it may be read by others, or is no text."""
    if file.stat().st_mode & 0o077:
        raise ValueError(f"{file} may be read by others; do: chmod 600 {file}")
    return file.read_text(encoding="utf-8").strip()


def load(home: Path) -> Settings:
    """The settings of this home folder; the defaults when it has no file. Raises BadSettings."""
    file = home / FILE
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as unreadable:
        raise BadSettings(f"{file}: cannot be read: {unreadable}") from unreadable
    if raw is not None and not isinstance(raw, dict):
        raise BadSettings(f"{file}: must be a mapping of settings, not {type(raw).__name__}")
    try:
        return Settings.model_validate(raw or {})
    except ValidationError as bad:
        first = bad.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise BadSettings(f"{file}: {where}: {first['msg']}") from bad
