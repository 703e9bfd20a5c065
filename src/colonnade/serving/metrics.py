"""What a server counts, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .models import Served

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Counters of one server.

    Args:
        served: The models, by name.
    """

    def __init__(self, served: Mapping[str, Served]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "colonnade_requests", "Requests that were answered.", ["route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "colonnade_request_seconds", "From a request's first byte to its answer.", ["route"], buckets=SECONDS,
            registry=self._registry,
        )  # fmt: skip
        self._batches = Histogram(
            "colonnade_batch_images", "Images that ran together.", ["model"], buckets=IMAGES, registry=self._registry
        )
        self._computing = Histogram(
            "colonnade_batch_seconds", "Computing a batch.", ["model"], buckets=SECONDS, registry=self._registry
        )
        self._registry.register(_Now(served))

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, status).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, model: str, images: int, seconds: float) -> None:
        """Count a batch."""
        self._batches.labels(model).observe(images)
        self._computing.labels(model).observe(seconds)

    def text(self) -> bytes:
        """All of it, in the text format."""
        return generate_latest(self._registry)


class _Now(Collector):
    """What is so at the moment that one asks."""

    def __init__(self, served: Mapping[str, Served]) -> None:
        self._served = served

    def collect(self) -> Iterable[Metric]:
        waiting = GaugeMetricFamily("colonnade_waiting_images", "Images that wait for a model.", labels=["model"])
        reloads = GaugeMetricFamily("colonnade_reloads", "How often a model's file was read anew.", labels=["model"])
        stale = GaugeMetricFamily(
            "colonnade_stale", "1 where a model's file has changed and can't be served.", labels=["model"]
        )
        for name, served in self._served.items():
            waiting.add_metric([name], served.waiting)
            reloads.add_metric([name], served.reloads)
            stale.add_metric([name], served.fault is not None)
        return [waiting, reloads, stale]
