"""Celery: the one task, `run_step`, which wakes a worker; and Redis: what is shown while a step runs.

A message holds a queue and a key, no work: whoever can write to Redis can wake workers and draw on screens, nothing
else. Messages are JSON, acknowledged at once, without results: what is lost is found in the ledger.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from farm import extras
from farm.errors import MissingToolError, UsageError
from farm.redact import redact

if TYPE_CHECKING:
    from celery import Celery

_log = logging.getLogger(__name__)
TASK = "farm.run_step"
_SCHEMES = ("redis", "rediss", "unix", "redis+socket")
_TIMEOUT = 2.0  # seconds that Redis may take to answer before we go on without it
_REST = 3.0  # seconds until a Redis that did not answer is tried again
_STALE = 60.0  # seconds after which a wake-up is worth nothing
_MOST_WAKES = 32  # per queue at once: each wakes a whole machine
_CHECKS = {  # options of rediss://, and what may be said there; the first is, if nothing else
    "ssl_cert_reqs": ("required", "CERT_REQUIRED"),
    "ssl_check_hostname": ("true", "True", "yes", "1"),
}


def shown(url: str) -> str:
    """A broker's address without its password."""
    try:
        parts = urlsplit(url)
        safe = parts._replace(netloc=f"***@{parts.hostname}:{parts.port or 6379}") if parts.password else parts
        return redact(safe.geturl())  # a password may be an option, too: ssl_password=...
    except ValueError:  # a port that is none, a bracket that is not closed
        return f"{url.partition(':')[0]}:***"


def checked(url: str) -> str:
    """An address that can be one. Raises UsageError."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in _SCHEMES and (parts.port or 0) >= 0
        given = dict(parse_qsl(parts.query))
    except ValueError:
        good = False
    if not good:
        raise UsageError(
            f"{shown(url)!r} is no address of a broker",
            where="--broker",
            fix="redis://HOST:6379/0, with TLS rediss://USER:PASSWORD@HOST:6380/0 (or FARM_BROKER in the environment)",
        )
    if off := [name for name, values in _CHECKS.items() if given.get(name, values[0]) not in values]:
        raise UsageError(
            f"{off[0]} would have anybody on the way taken for the broker",
            where="--broker",
            fix="take it out; ssl_ca_certs=FILE names the authority that signed the server's certificate",
        )
    return url


def app(url: str, wake: Callable[[str, str], None] = lambda _queue, _key: None) -> Celery:
    """The Celery application; `wake` is called with queue and key of each message. Raises MissingToolError."""
    try:
        from celery import Celery
    except ModuleNotFoundError as error:
        raise MissingToolError(
            f"the fleet's libraries are not installed: {error}", fix=extras.install("fleet")
        ) from error

    made = Celery("farm", broker=_celery_url(url), set_as_current=False)
    made.conf.update(
        accept_content=["json"],
        task_serializer="json",
        event_serializer="json",
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=False,
        task_default_queue="farm",
        task_create_missing_queues=True,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={"socket_connect_timeout": _TIMEOUT, "socket_timeout": 30.0},
    )

    def run_step(queue: str = "", key: str = "") -> None:
        wake(str(queue), str(key))

    made.task(name=TASK, ignore_result=True, shared=False)(run_step)  # each application has its own
    return made


def listen(url: str, queues: Iterable[str], wake: Callable[[str, str], None]) -> threading.Thread:
    """Be woken by messages for these queues, in a thread, for as long as the process lives. Redis may come and go."""
    made, names = app(url, wake), list(queues)

    def serve() -> None:
        from celery.worker.worker import WorkController

        made.set_current()  # of this thread: tasks are looked up there
        for name in ("celery", "kombu", "amqp"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        while True:
            controller = WorkController(
                app=made,
                pool="solo",
                concurrency=1,
                queues=names,
                without_gossip=True,
                without_mingle=True,
                without_heartbeat=True,
            )
            with contextlib.suppress(Exception):
                controller.start()
            _log.debug("the broker's messages stopped; listening again")
            time.sleep(_REST)

    thread = threading.Thread(target=serve, name="farm-broker", daemon=True)
    thread.start()
    return thread


class Waker:
    """Wakes workers. Never raises and never waits long: who is not woken looks at the ledger by itself."""

    def __init__(self, url: str) -> None:
        self._app = app(url)
        self._url = url
        self._silent_until = 0.0
        self._producer: Any = None

    def wake(self, wakes: Iterable[tuple[str, str]]) -> None:
        """Send a message for each queue and key, but not many for one queue."""
        counts: dict[str, int] = {}
        for queue, key in wakes:
            counts[queue] = counts.get(queue, 0) + 1
            if counts[queue] <= _MOST_WAKES and time.monotonic() >= self._silent_until:
                self._send(queue, key)

    def close(self) -> None:
        """Let the connection go."""
        with contextlib.suppress(Exception):
            self._app.close()

    def _send(self, queue: str, key: str) -> None:
        try:
            if self._producer is None:
                self._producer = self._app.amqp.Producer(self._app.connection_for_write())
            self._app.send_task(
                TASK,
                kwargs={"queue": queue, "key": key},
                queue=queue,
                expires=_STALE,
                retry=False,
                ignore_result=True,
                producer=self._producer,
            )
        except Exception as error:  # noqa: BLE001 - whatever a broker's libraries raise: the ledger has the job
            self._producer = None
            self._silent_until = time.monotonic() + _REST
            _log.warning("%s does not answer; workers look at the ledger by themselves: %s", shown(self._url), error)


def _celery_url(url: str) -> str:
    """Sockets are named by kombu and redis-py in different ways."""
    return "redis+socket" + url[4:] if url.startswith("unix:") else _verified(url)


def _verified(url: str) -> str:
    """Whom we talk to is checked, by both libraries and in all their versions."""
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        return url
    given = dict(parse_qsl(parts.query))
    more = [f"{name}={values[0]}" for name, values in _CHECKS.items() if name not in given]
    return parts._replace(query="&".join(filter(None, [parts.query, *more]))).geturl()


def redis_client(url: str) -> Any:
    """A client for what is shown. Raises MissingToolError."""
    try:
        import redis
    except ModuleNotFoundError as error:
        raise MissingToolError(
            f"the fleet's libraries are not installed: {error}", fix=extras.install("fleet")
        ) from error
    plain = _verified(url.replace("redis+socket:", "unix:", 1))
    return redis.Redis.from_url(plain, socket_connect_timeout=_TIMEOUT, socket_timeout=_TIMEOUT)
