"""A person's browser, a certified OpenID provider as a process, and a hand-written one that answers as a test wants."""

import html
import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import Key, RSAKey

from orchestrator.settings import Oidc
from tests.entry.http_world import BASE, World
from tests.entry.node_project import NODE

LOCKED = Path(__file__).resolve().parent / "oidc"
SECRET = "s3cret/with+odd:characters"
PEOPLE = {"u-olga": ["staff", "tenure-operators"], "u-vera": ["tenure-viewers"], "u-nora": ["staff"],
          "u-anna": ["tenure-viewers", "tenure-admins", "tenure-operators"],
          "olga@example.edu.cn": ["tenure-operators"]}
ROLES = {"tenure-viewers": "viewer", "tenure-operators": "operator", "tenure-admins": "admin"}


def settings(issuer: str, folder: Path, **changed: Any) -> Oidc:
    """What an operator would set."""
    secret = folder / "oidc-secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    return Oidc(issuer=issuer, client_id="tenure", client_secret_file=str(secret), name="City ID",
                roles=ROLES, **changed)  # type: ignore[arg-type]


def free_port() -> int:
    """A port that nobody listens at just now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def provider(folder: Path, port: int, claims: str = "token") -> Iterator[str]:
    """The certified provider until the end; gives its issuer. Each start has another key."""
    told = {"client": {"client_id": "tenure", "client_secret": SECRET, "redirect_uris": [f"{BASE}/sign-in/oidc/done"]},
            "people": PEOPLE, "claims": claims, "secret": "for its cookies"}
    with subprocess.Popen([NODE, "provider.mjs", str(port)], cwd=folder, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(told))
            process.stdin.close()
            assert process.stdout.readline() == "listening\n"
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


class Browser:
    """Follows redirects between Tenure (behind TLS, as it believes) and the provider, with each one's cookies."""

    def __init__(self, tenure: World) -> None:
        self._tenure = tenure
        self.cookies: dict[str, str] = {}
        self._others = httpx.Client(timeout=30)
        self.visited: list[str] = []

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self._others.close()

    def once(self, address: str, form: dict[str, str] | None = None) -> httpx.Response:
        """One request, without following where it leads."""
        self.visited.append(address)
        ours = self._ours(address)
        target = self._tenure.url + address.removeprefix(BASE).removeprefix(self._tenure.url) if ours else address
        headers = {"accept": "text/html"}
        if ours:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        method = "GET" if form is None else "POST"
        if not ours:
            return self._others.request(method, target, data=form, headers=headers)
        answer = httpx.request(method, target, data=form, headers=headers, timeout=30)
        self._keep(answer)
        return answer

    def _ours(self, address: str) -> bool:
        return address.startswith(("/", BASE, self._tenure.url))

    def go(self, address: str, form: dict[str, str] | None = None) -> httpx.Response:
        """On to the page where the redirects end."""
        for _ in range(12):
            answer = self.once(address, form)
            if answer.status_code not in (302, 303):
                return answer
            base = BASE if self._ours(address) else address
            address, form = urljoin(base, answer.headers["location"]), None
        raise AssertionError(f"redirects without end: {self.visited}")

    def submit(self, page: httpx.Response, **more: str) -> httpx.Response:
        """Fill in the page's form, and go on."""
        action = re.search(r'<form[^>]*action="([^"]+)"', page.text)
        assert action is not None, page.text
        hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text)
        return self.go(urljoin(str(page.url), html.unescape(action[1])), dict(hidden) | more)

    def sign_in(self, login: str, start: str = "/sign-in/oidc?next=/page") -> httpx.Response:
        """All the way: away, a password, consent, back."""
        page = self.submit(self.go(start), login=login, password="any")
        return self.submit(page) if "consent" in page.text else page

    def _keep(self, answer: httpx.Response) -> None:
        for line in answer.headers.get_list("set-cookie"):
            name, value = line.split(";")[0].split("=", 1)
            if "max-age=0" in line.lower():
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value


@dataclass
class Bad:
    """A provider whose answers a test writes. `claims` change those of a good ID token; None takes one away."""

    issuer: str = ""
    key: Key = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"}))
    claims: dict[str, Any] = field(default_factory=dict)
    signer: Key | None = None
    header: dict[str, str] = field(default_factory=lambda: {"alg": "RS256", "kid": "k1"})
    id_token: str | None = None
    discovery: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    nonce: str = ""

    def token(self) -> str:
        """The ID token that it answers with."""
        now = int(time.time())
        good = {"iss": self.issuer, "aud": "tenure", "sub": "u-olga", "exp": now + 300, "iat": now,
                "nonce": self.nonce, "groups": ["tenure-operators"]}
        said = {name: value for name, value in (good | self.claims).items() if value is not None}
        return jwt.encode(self.header, said, self.signer or self.key, algorithms=[self.header["alg"]])

    def answer(self, path: str) -> tuple[int, bytes]:
        """What it says at this path."""
        if path in self.answers:
            return self.answers[path]
        said: dict[str, Any] = {}
        match path:
            case "/.well-known/openid-configuration":
                said = {"issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/auth",
                        "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/jwks"} | self.discovery
            case "/jwks":
                said = {"keys": [self.key.as_dict(private=False)]}
            case "/token":
                said = {"access_token": "a", "token_type": "Bearer", "id_token": self.id_token or self.token()}
        return 200, json.dumps(said).encode()


@contextmanager
def bad_provider() -> Iterator[Bad]:
    """It, on loopback."""
    bad = Bad()

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            bad.asked.append(self.path)
            status, body = bad.answer(self.path)
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    bad.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield bad
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def query_of(address: str) -> dict[str, str]:
    """An address's query."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
