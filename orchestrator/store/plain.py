"""Values as JSON columns keep them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any


def as_plain(value: Any) -> Any:
    """Amounts become text, spans seconds, instants ISO 8601, wherever in it they are."""
    match value:
        case Decimal():
            return str(value)
        case timedelta():
            return value.total_seconds()
        case datetime():
            return value.isoformat()
        case Mapping():
            return {key: as_plain(one) for key, one in value.items()}
        case list() | tuple():
            return [as_plain(one) for one in value]
        case _:
            return value
