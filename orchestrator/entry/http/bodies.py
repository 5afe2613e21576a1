"""The body of a request as one of the payloads, or the refusal that says where it is wrong."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from orchestrator.entry.http.problems import from_validation
from orchestrator.entry.http.strict_json import loads

B = TypeVar("B", bound=BaseModel)


def parse(model: type[B], raw: bytes) -> B:
    """The body as `model`. Raises BadJson or Problem (400)."""
    return check(model, loads(raw))


def check(model: type[B], value: dict[str, Any]) -> B:
    """The same for what was parsed already."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise from_validation(error) from error
