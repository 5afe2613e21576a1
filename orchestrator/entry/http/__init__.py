"""The web doors: webhooks, claims, the operators' API. `create_app` puts them together."""

from orchestrator.entry.http.app import create_app
from orchestrator.entry.http.desk import Limits

__all__ = ["Limits", "create_app"]
