"""Every metric: its name, kind, labels and meaning. docs/observing.md is checked against this table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """`kind` is Prometheus': ``gauge``, ``counter`` (its samples end in ``_total``), ``histogram``, ``summary``."""

    name: str
    kind: str
    labels: tuple[str, ...] = ()
    help: str


UP = Metric(name="farm_up", kind="gauge", help="1 if the ledger answered; else nothing but this is there")
INFO = Metric(name="farm_build_info", kind="gauge", labels=("version",), help="1; the farm's version")
QUEUE = Metric(
    name="farm_queue_depth",
    kind="gauge",
    labels=("queue", "state"),
    help="jobs of a fleet that are queued or running; counted up to 10,000",
)
RUNNING = Metric(
    name="farm_running_steps",
    kind="gauge",
    labels=("platform",),
    help="builds at work now, up to 2,000, on any machine",
)
STEP_SECONDS = Metric(
    name="farm_step_seconds",
    kind="histogram",
    labels=("platform", "outcome"),
    help="how long attempts to build took; outcome: built, failed, cancelled",
)
RECIPE_SECONDS = Metric(
    name="farm_recipe_step_seconds",
    kind="summary",
    labels=("recipe", "platform", "outcome"),
    help="the same by recipe, for the 1,000 rows that took longest in all",
)
LAST_BUILT = Metric(
    name="farm_last_built_timestamp_seconds", kind="gauge", help="when the newest successful build ended, since 1970"
)
CACHE_HITS = Metric(
    name="farm_cache_hits",
    kind="counter",
    help="steps and tasks whose result was there already when a run that had something to do wanted it",
)
RETRIES = Metric(
    name="farm_retries",
    kind="counter",
    labels=("what",),
    help="what was tried again after a fault that may pass: a step, a task of a cascade, a job whose worker died",
)
LEASE_LOSSES = Metric(
    name="farm_lease_losses",
    kind="counter",
    help="builds that were stopped because another process took their lease over",
)
CASCADES = Metric(name="farm_cascades", kind="gauge", labels=("state",), help="cascades that have not ended")
CASCADE_AGE = Metric(
    name="farm_cascade_unchanged_seconds",
    kind="gauge",
    labels=("state",),
    help="since when nothing happened to that of them which waits longest",
)
TASKS = Metric(name="farm_cascade_tasks", kind="gauge", labels=("state",), help="tasks of cascades that have not ended")
NOTIFICATIONS = Metric(
    name="farm_notifications", kind="gauge", labels=("state",), help="messages that wait, and that were given up"
)

ALL = (
    UP,
    INFO,
    QUEUE,
    RUNNING,
    STEP_SECONDS,
    RECIPE_SECONDS,
    LAST_BUILT,
    CACHE_HITS,
    RETRIES,
    LEASE_LOSSES,
    CASCADES,
    CASCADE_AGE,
    TASKS,
    NOTIFICATIONS,
)


def table() -> list[str]:
    """The rows of the table in docs/observing.md."""
    rows = ["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
    for metric in ALL:
        name = f"{metric.name}_total" if metric.kind == "counter" else metric.name
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append(f"| `{name}` | {metric.kind} | {labels} | {metric.help} |")
    return rows
