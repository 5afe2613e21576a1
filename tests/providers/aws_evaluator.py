"""An evaluator of IAM documents, as AWS's own rules have it, for as much of the language as Tenure writes.

Deny wins; what is not allowed is denied; the identity's policies, the boundary and the session's policy must each
allow. What it does not know it refuses to evaluate, so that a new operator cannot pass unseen.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """One API call, as AWS sees it. `context` has the condition keys."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)
    principal: str = ""


def allowed(request: Request, identity: Iterable[Document], boundary: Document | None = None,
            session: Document | None = None) -> bool:
    """Whether a role's session may do this."""
    own = list(identity)
    every = [*own, *(one for one in (boundary, session) if one is not None)]
    if any(_says(one, "Deny", request) for one in every):
        return False
    limits = [one for one in (boundary, session) if one is not None]
    return any(_says(one, "Allow", request) for one in own) and all(_says(one, "Allow", request) for one in limits)


def trusted(request: Request, trust: Document) -> bool:
    """Whether this principal may take the role on."""
    return not _says(trust, "Deny", request) and _says(trust, "Allow", request)


def _says(document: Document, effect: str, request: Request) -> bool:
    assert document["Version"] == "2012-10-17"
    return any(_matches(one, request) for one in document["Statement"] if one["Effect"] == effect)


def _matches(statement: Document, request: Request) -> bool:
    unknown = set(statement) - {"Sid", "Effect", "Action", "Resource", "Condition", "Principal"}
    if unknown:
        raise NotImplementedError(f"a statement with {sorted(unknown)}")
    return (_any(statement["Action"], request.action.lower(), lower=True)
            and ("Resource" not in statement or _any(statement["Resource"], request.resource))
            and ("Principal" not in statement or _is(statement["Principal"], request.principal))
            and all(_holds(operator, key, wanted, request.context)
                    for operator, keys in statement.get("Condition", {}).items() for key, wanted in keys.items()))


def _is(principal: Mapping[str, Any], who: str) -> bool:
    """An account's `root` stands for everybody in it."""
    (kind, named), = principal.items()
    if kind == "Service":
        return who in _list(named)
    return any(one == who or (one.endswith(":root") and who.split(":")[4:5] == one.split(":")[4:5])
               for one in _list(named))


def _any(patterns: object, value: str, lower: bool = False) -> bool:
    return any(fnmatchcase(value, one.lower() if lower else one) for one in _list(patterns))


def _holds(operator: str, key: str, wanted: object, context: Mapping[str, str]) -> bool:
    """One condition. A key that the request has not makes it false, but for Null."""
    found = context.get(key)
    if operator == "Null":
        return (found is None) == (_list(wanted) == ["true"])
    if found is None:
        return False
    if operator == "StringEquals":
        return found in _list(wanted)
    at, bound = datetime.fromisoformat(found), datetime.fromisoformat(_list(wanted)[0])
    if operator == "DateLessThan":
        return at < bound
    if operator == "DateGreaterThanEquals":
        return at >= bound
    raise NotImplementedError(f"condition operator {operator}")


def _list(value: object) -> list[str]:
    return [value] if isinstance(value, str) else list(value)  # type: ignore[call-overload]
