"""Prometheus metrics: requests counted as they come, and how things stand as last read from the store."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from orchestrator.lifecycle.account import State
from orchestrator.store.gauges import Gauges

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Meters:
    """The counters of one app, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("tenure_http_requests", "Requests answered", ["method", "route", "status"],
                                registry=self.registry)
        self.seconds = Histogram("tenure_http_request_seconds", "Time to answer", ["route"], registry=self.registry,
                                 buckets=(.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10))
        self.state = Standing()
        self.registry.register(self.state)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request by its route's pattern: never by its path, of which strangers can make any number."""
        known = method if method in _METHODS else "other"
        self.requests.labels(known, route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)


class Standing(Collector):
    """A collector over the last numbers read."""

    def __init__(self) -> None:
        self.now: Gauges | None = None
        self.read_at = float("-inf")

    def collect(self) -> Iterator[Metric]:
        """The numbers as metrics."""
        found = self.now
        if found is None:
            return
        states = GaugeMetricFamily("tenure_accounts", "Accounts by state", labels=["state"])
        for state in State:
            states.add_metric([state.value], found.by_state.get(state.value, 0))
        yield states
        lags = GaugeMetricFamily("tenure_due_lag_seconds", "How long the oldest work owed has waited",
                                 labels=["owed"])
        for owed, lag in sorted(found.due_lag.items()):
            lags.add_metric([owed], lag.total_seconds())
        yield lags
        for name, what, value in (
                ("tenure_accounts_stuck", "Accounts with a STUCK mark", float(found.stuck)),
                ("tenure_accounts_unfenced", "Accounts past their end that are not recorded as fenced",
                 float(found.unfenced)),
                ("tenure_fence_lag_seconds", "How long the oldest of those is past its end",
                 found.fence_lag.total_seconds()),
                ("tenure_outbox_depth", "Callbacks and mails not delivered yet", float(found.outbox)),
                ("tenure_outbox_lag_seconds", "How long the oldest of those has waited",
                 found.outbox_lag.total_seconds())):
            yield GaugeMetricFamily(name, what, value=value)
