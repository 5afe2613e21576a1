"""OpenAPI for doors that read their raw body themselves: what they accept and how they refuse."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from orchestrator.entry.http.problems import MEDIA_TYPE, ProblemBody
from orchestrator.entry.http.signatures import SENDER_HEADER

_REFS = "#/components/schemas/{model}"
_MODELS: dict[str, type[BaseModel]] = {"ProblemBody": ProblemBody}
_WHAT = {400: "the body is wrong", 401: "no valid signature or token", 403: "this token's role may not do that",
         404: "not there, or not yours", 409: "does not fit what is already so", 413: "larger than 64 KiB",
         422: "understood, and refused", 429: "too much at once; see Retry-After", 503: "later; see Retry-After"}


def refusals(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a door answers with."""
    schema = {"$ref": _REFS.format(model="ProblemBody")}
    return {code: {"description": _WHAT[code], "content": {MEDIA_TYPE: {"schema": schema}}} for code in codes}


def accepts(model: type[BaseModel], *, signed: bool = False, form: bool = False) -> dict[str, Any]:
    """The body that a door reads, strictly, as `model`; with the headers of a webhook when it is a signed one."""
    _MODELS[model.__name__] = model
    schema = {"schema": {"$ref": _REFS.format(model=model.__name__)}}
    content = {"application/json": schema} | ({"application/x-www-form-urlencoded": schema} if form else {})
    found: dict[str, Any] = {"requestBody": {"required": True, "content": content}}
    if signed:
        found["parameters"] = [_header("webhook-id", "the event's id; the same for every repetition of it"),
                               _header("webhook-timestamp", "when this was signed: whole seconds since 1970"),
                               _header("webhook-signature", "`v1,` and the signature in base64; several by spaces"),
                               _header(SENDER_HEADER, "who signed, by name; `?sender=` does the same", False)]
        found["security"] = []
    return found


def _header(name: str, description: str, required: bool = True) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": required, "description": description,
            "schema": {"type": "string"}}


def install(app: FastAPI) -> None:
    """Serve a document in which every body and problem stands."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(title=app.title, version=app.version, description=app.description,
                                routes=app.routes, tags=app.openapi_tags)
            schemas = found.setdefault("components", {}).setdefault("schemas", {})
            for name, model in _MODELS.items():
                schema = model.model_json_schema(ref_template=_REFS)
                schemas |= schema.pop("$defs", {})
                schemas[name] = schema
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
