"""The claim page: what a holder sees of an account, in English or Chinese, without JavaScript."""

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Literal

from orchestrator.entry.http.pages import Language, Pages
from orchestrator.lifecycle.account import USABLE, Account, FencedBy, State
from orchestrator.lifecycle.contract import OPEN_END
from orchestrator.lifecycle.sizes import show_rate, show_size
from providers.protocol import Credential

PAGES = Pages("claim")

_PHASES = {State.REQUESTED: "preparing", State.PROVISIONING: "preparing", State.FAILED: "failed",
           State.RECLAIMING: "gone", State.RECLAIMED: "gone"}
_UNITS = {"en": (" d", " h", " min", " s"), "zh": (" 天", " 小时", " 分", " 秒")}
_OPEN = {"en": "open", "zh": "无固定期限"}


@dataclass(frozen=True, slots=True)
class Connection:
    """How the holder gets in: what to save, and the exact commands."""

    account: str
    expires: str
    save: str
    command: str
    certificate_file: str
    hosts_file: str
    containers: list[tuple[str, str]]
    sealed: bool = False
    """Something to open with the private key, not to log in with."""


@dataclass(frozen=True, slots=True)
class Rescue:
    """How the holder fetches their files after the end; without a connection, by giving a key first."""

    until: str
    connection: Connection | None
    everything: str = ""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What the page says of a contract: `may` be asked for, is `wished` for, lies at `url` as a `draft` to sign, or is
    `active`, with its number and, where it has one, its price."""

    state: Literal["may", "wished", "draft", "active"]
    url: str = ""
    number: str = ""
    price: str = ""
    hourly: bool = False
    days: tuple[int, ...] = (30, 90, 180, 365)


@dataclass(frozen=True, slots=True)
class View:
    """What the page shows of an account."""

    account: str
    phase: str
    offer: str
    starts: str | None
    ends: str | None
    kept_until: str | None
    left: str | None
    share_left: float
    sizes: list[tuple[str, str]]
    images: tuple[str, ...]
    models: tuple[str, ...]
    connection: Connection | None
    conversion: Conversion | None = None
    begins: str | None = None
    """When a booked account begins, until it has begun."""
    rescue: Rescue | None = None


def render(view: View | None, lang: Language, path: str, error: str | None = None, detail: str = "") -> str:
    """The page; without a view, the one that says the link is not known. `error` is a key of the texts."""
    return PAGES.render("page.html.j2", lang, view=view, path=path, action=f"{path}?lang={lang}", error_detail=detail,
                        error=PAGES.texts[lang][error] if error else None)


def view(account: Account, credential: Credential | None, now: datetime, zone: tzinfo, lang: Language) -> View:
    """What to show of an account; `credential` is what was minted at its claim, if it was."""
    offer = account.offer
    usable = account.state in USABLE and account.ends_at is not None and account.ends_at > now
    length = (account.ends_at - account.starts_at) if account.ends_at and account.starts_at else timedelta(1)
    is_open = account.ends_at is not None and account.ends_at >= OPEN_END
    shown_left = usable and not is_open
    phase = "booked" if account.booked(now) else _phase(account, credential, usable)
    return View(
        account=account.id, phase=phase, offer=offer.name,
        starts=_show(account.starts_at, zone), ends=_OPEN[lang] if is_open else _show(account.ends_at, zone),
        kept_until=_show(account.ends_at + offer.grace, zone) if phase == "ended" and account.ends_at else None,
        left=show_left(account.remaining(now), lang) if shown_left else None,
        share_left=round(min(1.0, account.remaining(now) / length), 4) if shown_left else 0.0,
        sizes=_sizes(account, lang), images=offer.images, models=offer.models,
        connection=connection(account, credential, zone) if credential is not None and usable else None,
        begins=_show(account.begins_at, zone) if phase in ("booked", "preparing") else None)


def _phase(account: Account, credential: Credential | None, usable: bool) -> str:
    if account.starts_at is None and account.state in (State.RECLAIMING, State.RECLAIMED):
        return "unused" if account.state is State.RECLAIMED else "failed"
    if account.state in _PHASES:
        return _PHASES[account.state]
    if account.state is State.FENCED:
        return "paused" if account.fenced_by is FencedBy.OPERATOR else "ended"
    if not usable:
        return "ended"
    return "claimed" if credential is not None else "ready"


def _sizes(account: Account, lang: Language) -> list[tuple[str, str]]:
    offer, cores = account.offer, PAGES.texts[lang]["cores"]
    chips = ", ".join(f"{count} × {chip}" for chip, count in sorted(offer.accelerators.items()))
    found = [("containers", str(offer.containers)), ("cpu", f"{offer.cpu_milli / 1000:g} {cores}"),
             ("memory", show_size(offer.memory)), ("storage", show_size(offer.storage)),
             ("rate", show_rate(offer.rate)), ("egress", show_size(offer.egress)), ("processes", str(offer.pids))]
    return [*found, ("accelerators", chips)] if chips else found


def _show(at: datetime | None, zone: tzinfo) -> str | None:
    return None if at is None else f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S} {zone}"


def show_left(left: timedelta, lang: Language) -> str:
    """The two largest units: `1 d 3 h`, `42 s`."""
    seconds = int(left.total_seconds())
    values = (seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60, seconds % 60)
    first = next((at for at, value in enumerate(values) if value), 3)
    units = _UNITS[lang]
    return " ".join(f"{values[at]}{units[at]}" for at in range(first, min(first + 2, 4)))


def connection(account: Account, credential: Credential, zone: tzinfo) -> Connection:
    """The exact commands that this credential is used with."""
    name = f"tenure-{account.id}"
    if credential.sealed:
        file = f"{name}-sealed.age"
        return Connection(
            account=account.id, expires=_show(credential.expires, zone) or "", sealed=True, containers=[],
            command=open_command(account.id), certificate_file=file, hosts_file="",
            save="\n".join([f"cat > ~/.ssh/{file} <<'EOF'", credential.sealed, "EOF"]))
    certificate, hosts = f"{name}-cert.pub", f"{name}-hosts"
    return Connection(
        account=account.id, expires=_show(credential.expires, zone) or "", command=ssh_command(account.id, credential),
        certificate_file=certificate, hosts_file=hosts, containers=containers(account),
        save=_save(certificate, hosts, credential))


def rescue(account: Account, credential: Credential | None, until: datetime, zone: tzinfo) -> Rescue:
    """What the page says of files that can still be fetched."""
    shown = _show(until, zone) or ""
    if credential is None:
        return Rescue(shown, None)
    name = f"tenure-{account.id}-rescue"
    certificate, hosts = f"{name}-cert.pub", f"tenure-{account.id}-hosts"
    way = Connection(account=account.id, expires=shown, command=sftp_command(account.id, credential), containers=[],
                     certificate_file=certificate, hosts_file=hosts, save=_save(certificate, hosts, credential))
    return Rescue(shown, way, _with_key("sftp -r -P", name, account.id, credential) + f":. tenure-{account.id}")


def sftp_command(account: str, credential: Credential) -> str:
    """What the holder types to fetch some of their files."""
    return _with_key("sftp -P", f"tenure-{account}-rescue", account, credential)


def _save(certificate: str, hosts: str, credential: Credential) -> str:
    return "\n".join([f"cat > ~/.ssh/{certificate} <<'EOF'", credential.certificate.strip(), "EOF",
                      f"cat > ~/.ssh/{hosts} <<'EOF'", *credential.host_keys, "EOF"])


def ssh_command(account: str, credential: Credential) -> str:
    """What the holder types, with the private key where ssh-keygen puts it."""
    if credential.sealed:
        return open_command(account)
    return _with_key("ssh -p", f"tenure-{account}", account, credential)


def _with_key(program: str, name: str, account: str, credential: Credential) -> str:
    kind = credential.certificate.split("-cert-v01@", 1)[0]
    key = {"ssh-ed25519": "id_ed25519", "ssh-rsa": "id_rsa"}.get(kind, "id_ecdsa")
    return (f"{program} {credential.port} -i ~/.ssh/{key} -o IdentitiesOnly=yes"
            f" -o CertificateFile=~/.ssh/{name}-cert.pub"
            f" -o UserKnownHostsFile=~/.ssh/tenure-{account}-hosts {credential.login}")


def open_command(account: str) -> str:
    """Opens what is sealed to the holder's key; the text inside says how it is used."""
    return f"age -d -i ~/.ssh/id_ed25519 ~/.ssh/tenure-{account}-sealed.age"


def containers(account: Account) -> list[tuple[str, str]]:
    """The gate's words, with an image that this offer allows."""
    image = account.offer.images[0] if account.offer.images else "IMAGE"
    return [("run", f"container run -d --name demo {image} sleep 600"), ("list", "container list"),
            ("exec", "container exec demo ls /work"), ("logs", "container logs demo"),
            ("stop", "container stop demo"), ("rm", "container rm demo")]
