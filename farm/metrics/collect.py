"""Metrics from the ledger, at the moment of a scrape.

Processes of the farm come and go and are killed, so none of them counts for itself: what happened is counted in the
ledger, in the transaction that it belongs to, and one place is scraped. Every question here costs the same however much
was built: sums and counts are kept up, and what is listed has a limit.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from farm import __version__
from farm.errors import StoreError
from farm.metrics import names
from farm.model.cascade import ENDED, CascadeState, TaskState
from farm.store import tallies

if TYPE_CHECKING:
    from farm.store.ledger import Ledger


@dataclass(frozen=True)
class LedgerCollector(Collector):
    """Asks the ledger at every scrape. One that does not answer makes ``farm_up 0``, not an error."""

    ledger: Ledger

    def collect(self) -> Iterator[Family]:
        """All metrics of `names.ALL`."""
        try:
            found = [family for part in _PARTS for family in part(self.ledger)]
        except StoreError:
            found = []
        yield _gauge(names.UP, {(): 1.0 if found else 0.0})
        yield from found


def registry(ledger: Ledger) -> CollectorRegistry:
    """A registry with nothing but the farm's metrics."""
    it = CollectorRegistry(auto_describe=False)
    it.register(LedgerCollector(ledger))
    return it


def text(ledger: Ledger) -> bytes:
    """The metrics in Prometheus' text format."""
    return bytes(generate_latest(registry(ledger)))


def _constant(_: Ledger) -> Iterator[Family]:
    yield _gauge(names.INFO, {(__version__,): 1.0})


def _running(ledger: Ledger) -> Iterator[Family]:
    at_work = Counter((seen.platform,) for seen in ledger.running(datetime.now(UTC)))
    yield _gauge(names.RUNNING, {key: float(count) for key, count in at_work.items()})
    last = ledger.last_built_at()
    yield _gauge(names.LAST_BUILT, {(): last.timestamp()} if last is not None else {})


def _queues(ledger: Ledger) -> Iterator[Family]:
    numbers: dict[tuple[str, ...], float] = {
        (queue, state.value): float(number) for (queue, state), number in ledger.queue_numbers().items()
    }
    yield _gauge(names.QUEUE, numbers)


def _sums(ledger: Ledger) -> Iterator[Family]:
    counts: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    steps: dict[tuple[str, str], dict[str, tuple[int, float]]] = defaultdict(dict)
    for tally in ledger.tallies():
        if tally.metric == tallies.BUCKET:
            outcome, _, bound = tally.word.partition(" ")
            steps[tally.platform, outcome][bound] = (tally.number, tally.seconds)
        else:
            counts[tally.metric][(tally.word,) if tally.word else ()] += tally.number
    yield _histogram(steps)
    yield _counter(names.CACHE_HITS, counts[tallies.CACHED] or {(): 0})
    yield _counter(names.RETRIES, {("job",): 0, ("step",): 0, ("task",): 0, **counts[tallies.RETRY]})
    yield _counter(names.LEASE_LOSSES, counts[tallies.LOST] or {(): 0})


def _recipes(ledger: Ledger) -> Iterator[Family]:
    family = SummaryMetricFamily(
        names.RECIPE_SECONDS.name, names.RECIPE_SECONDS.help, labels=names.RECIPE_SECONDS.labels
    )
    for tally in ledger.recipe_tallies():
        labels = (tally.recipe, tally.platform, tally.word)
        family.add_metric(labels, count_value=tally.number, sum_value=tally.seconds)
    yield family


def _cascades(ledger: Ledger) -> Iterator[Family]:
    now = datetime.now(UTC)
    states = [state for state in CascadeState if state not in ENDED]
    count: Counter[tuple[str, ...]] = Counter({(state,): 0 for state in states})
    unchanged: dict[tuple[str, ...], float] = {(state,): 0.0 for state in states}
    for cascade in ledger.cascades(unfinished=True):
        key = (cascade.state,)
        count[key] += 1
        unchanged[key] = max(unchanged[key], (now - cascade.updated).total_seconds())
    yield _gauge(names.CASCADES, {key: float(number) for key, number in count.items()})
    yield _gauge(names.CASCADE_AGE, unchanged)
    tasks: Counter[tuple[str, ...]] = Counter({(state,): 0 for state in TaskState})
    for numbers in ledger.cascade_numbers().values():
        tasks.update({(state,): number for state, number in numbers.items()})
    yield _gauge(names.TASKS, {key: float(number) for key, number in tasks.items()})


def _notifications(ledger: Ledger) -> Iterator[Family]:
    counts = ledger.delivery_counts()
    yield _gauge(names.NOTIFICATIONS, {(state.value,): float(number) for state, number in counts.items()})


_PARTS: tuple[Callable[[Ledger], Iterator[Family]], ...] = (
    _constant,
    _queues,
    _running,
    _sums,
    _recipes,
    _cascades,
    _notifications,
)


def _gauge(metric: names.Metric, values: dict[tuple[str, ...], float]) -> Family:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in sorted(values.items()):
        family.add_metric(labels, value)
    return family


def _counter(metric: names.Metric, values: Mapping[tuple[str, ...], int]) -> Family:
    family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in sorted(values.items()):
        family.add_metric(labels, value)
    return family


def _histogram(steps: dict[tuple[str, str], dict[str, tuple[int, float]]]) -> Family:
    metric = names.STEP_SECONDS
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, by_bound in sorted(steps.items()):
        total, buckets = 0, []
        for bound in (*map(str, tallies.BUCKETS), "+Inf"):
            total += by_bound.get(bound, (0, 0.0))[0]
            buckets.append((bound if bound == "+Inf" else f"{bound}.0", float(total)))
        family.add_metric(labels, buckets=buckets, sum_value=sum(seconds for _, seconds in by_bound.values()))
    return family
