"""An OpenID provider that vouches for operators: authorization code with PKCE, and an ID token that is checked in full.

The provider is the operator's own setting, and nothing that a visitor sends becomes an address that is fetched.
"""

import base64
import hashlib
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet
from joserfc.jwt import JWTClaimsRegistry
from pydantic import BaseModel, ValidationError

from orchestrator.entry.http.bounded import client
from orchestrator.settings import Oidc, secret_in

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""Signatures only: neither `none` nor a shared secret proves who has signed."""
LEEWAY = timedelta(seconds=60)
KEPT = timedelta(hours=1)
"""How long what the provider says of itself is not asked for again."""
KEYS_AGAIN = timedelta(seconds=5)
"""A token with an unknown key makes us fetch the keys anew, no more often than this."""


class OidcError(Exception):
    """Nobody can be signed in. `code` is for the journal."""

    code = "oidc_refused"


class ProviderAway(OidcError):
    """The provider cannot be asked, or does not make sense."""

    code = "oidc_away"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a browser that was sent to the provider has to come back with."""

    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Person:
    """Who the provider says it is."""

    subject: str
    groups: frozenset[str]


class Discovery(BaseModel):
    """What a provider says of itself, as far as we need it (OpenID Connect Discovery 1.0)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Provider:
    """One provider. Thread-safe; every call may block for as long as the settings' time-out."""

    def __init__(self, settings: Oidc, redirect_uri: str, clock: Callable[[], datetime]) -> None:
        self._settings, self._redirect_uri, self._clock = settings, redirect_uri, clock
        self._lock = threading.Lock()
        self._known: tuple[datetime, Discovery] | None = None
        self._keys: tuple[datetime, KeySet] | None = None

    def look(self) -> str:
        """What it is, once its configuration, its keys and our own secret were all had. ProviderAway."""
        known = self._discovery()
        keys = self._key_set(known)
        self._secret()
        return f"{known.issuer}, {len(keys.keys)} keys"

    def begin(self) -> tuple[str, Attempt]:
        """Where to send the browser, and what it must come back with. ProviderAway."""
        attempt = Attempt(*(secrets.token_urlsafe(32) for _ in range(3)))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest()).decode().rstrip("=")
        address = self._discovery().authorization_endpoint
        query = urlencode({
            "response_type": "code", "client_id": self._settings.client_id, "redirect_uri": self._redirect_uri,
            "scope": " ".join(self._settings.scopes), "state": attempt.state, "nonce": attempt.nonce,
            "code_challenge": challenge, "code_challenge_method": "S256"})
        return f"{address}{'&' if '?' in address else '?'}{query}", attempt

    def finish(self, attempt: Attempt, code: str, issuer: str | None) -> Person:
        """Who came back with this code; `issuer` is what the answer itself names, if it does (RFC 9207). OidcError."""
        known = self._discovery()
        if issuer != known.issuer and (issuer is not None or known.authorization_response_iss_parameter_supported):
            raise OidcError("the answer is another provider's")
        answer = self._redeem(known, attempt, code)
        claims = self._verified(known, str(answer.get("id_token", "")), attempt.nonce)
        if self._settings.claim not in claims and known.userinfo_endpoint and answer.get("access_token"):
            claims = self._userinfo(known.userinfo_endpoint, str(answer["access_token"]), claims["sub"]) | claims
        return Person(claims["sub"], _groups(claims.get(self._settings.claim)))

    def _discovery(self) -> Discovery:
        now = self._clock()
        with self._lock:
            if self._known is not None and self._known[0] + KEPT > now:
                return self._known[1]
        said = self._get(f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration")
        try:
            found = Discovery.model_validate(said)
        except ValidationError as error:
            raise ProviderAway(f"its configuration cannot be used: {error.errors()[0]['loc']}") from error
        if found.issuer != self._settings.issuer:
            raise ProviderAway(f"it calls itself {found.issuer[:200]!r}, not as the setting oidc.issuer has it")
        scheme = urlsplit(found.issuer).scheme
        for address in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri, found.userinfo_endpoint):
            if address is not None and urlsplit(address).scheme != scheme:
                raise ProviderAway(f"one of its addresses is not {scheme}")
        with self._lock:
            self._known = (now, found)
        return found

    def _verified(self, known: Discovery, token: str, nonce: str) -> dict[str, Any]:
        """The claims of an ID token that is the provider's, for us, of now and of this attempt (OpenID Connect Core
        3.1.3.7)."""
        try:
            try:
                claims = jwt.decode(token, self._key_set(known), algorithms=list(ALGORITHMS)).claims
            except InvalidKeyIdError:
                claims = jwt.decode(token, self._key_set(known, again=True), algorithms=list(ALGORITHMS)).claims
            us = self._settings.client_id
            JWTClaimsRegistry(
                now=int(self._clock().timestamp()), leeway=int(LEEWAY.total_seconds()),
                iss={"essential": True, "value": known.issuer}, aud={"essential": True, "value": us},
                exp={"essential": True}, iat={"essential": True}, sub={"essential": True},
                nonce={"essential": True, "value": nonce}).validate(claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise OidcError(f"its ID token is refused: {error}") from error
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if (several or "azp" in claims) and claims.get("azp") != us:
            raise OidcError("its ID token is for another program")
        return claims

    def _key_set(self, known: Discovery, again: bool = False) -> KeySet:
        now = self._clock()
        with self._lock:
            if self._keys is not None and self._keys[0] + (KEYS_AGAIN if again else KEPT) > now:
                return self._keys[1]
        said = self._get(known.jwks_uri)
        try:
            found = KeySet([key for raw in said["keys"] if raw.get("use", "sig") == "sig" for key in _known_key(raw)])
        except (TypeError, KeyError, AttributeError) as error:
            raise ProviderAway(f"its keys cannot be used: {error}") from error
        if not found.keys:
            raise ProviderAway("it has no key that we can use")
        with self._lock:
            self._keys = (now, found)
        return found

    def _redeem(self, known: Discovery, attempt: Attempt, code: str) -> dict[str, Any]:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._redirect_uri,
                "code_verifier": attempt.verifier, "client_id": self._settings.client_id}
        auth, secret = httpx.Auth(), self._secret()
        if secret is not None and "client_secret_basic" in known.token_endpoint_auth_methods_supported:
            auth = httpx.BasicAuth(quote(self._settings.client_id, safe=""), quote(secret, safe=""))
        elif secret is not None:
            form["client_secret"] = secret
        with self._client() as asking:
            return self._answer(lambda: asking.post(known.token_endpoint, data=form, auth=auth))

    def _userinfo(self, address: str, access: str, subject: str) -> dict[str, Any]:
        with self._client() as asking:
            found = self._answer(lambda: asking.get(address, headers={"authorization": f"Bearer {access}"}))
        if found.get("sub") != subject:
            raise OidcError("its userinfo is about somebody else")
        return found

    def _secret(self) -> str | None:
        if not self._settings.client_secret_file:
            return None
        try:
            return secret_in(Path(self._settings.client_secret_file))
        except (OSError, ValueError) as error:
            raise ProviderAway("the setting oidc.client_secret_file names a file that cannot be read, or that others "
                               "may read") from error

    def _get(self, address: str) -> dict[str, Any]:
        with self._client() as asking:
            return self._answer(lambda: asking.get(address))

    def _client(self) -> httpx.Client:
        return client(self._settings.timeout)

    @staticmethod
    def _answer(ask: Callable[[], httpx.Response]) -> dict[str, Any]:
        """A JSON object. ProviderAway when there is none to be had, OidcError when the provider says no."""
        try:
            answer = ask()
            said = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise ProviderAway(f"it does not answer as it should: {type(error).__name__}") from error
        if not isinstance(said, dict):
            raise ProviderAway("it does not answer with a JSON object")
        if 400 <= answer.status_code < 500:
            raise OidcError(f"it says no: {str(said.get('error', answer.status_code))[:100]}")
        if answer.status_code != 200:
            raise ProviderAway(f"it answers {answer.status_code}")
        return said


def _known_key(raw: dict[str, Any]) -> list[Key]:
    """The key, or none of a kind that we do not know: it may stand beside others (RFC 7517, section 5)."""
    try:
        return [JWKRegistry.import_key(raw)]
    except (JoseError, ValueError, TypeError, KeyError):
        return []


def _groups(claim: object) -> frozenset[str]:
    if isinstance(claim, str):
        return frozenset({claim})
    return frozenset(one for one in claim if isinstance(one, str)) if isinstance(claim, list) else frozenset()
