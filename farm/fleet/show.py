"""What is shown while steps run elsewhere: phases and lines of logs, through Redis. It may be lost; nothing depends on
it."""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from farm.errors import printable
from farm.fleet import broker
from farm.model import json_text
from farm.model.events import State, StepEvent

_log = logging.getLogger(__name__)
_TICK = 0.2  # seconds between looks at a growing log
_MOST = 64 << 10  # bytes of a log that are shown at once; of more, the end
_WAITING = 1000  # messages that wait for a slow Redis; more are dropped
_REST = 3.0

LogLines = Callable[[str, str], None]
"""Told of a step and some whole lines of its log."""


class Teller:
    """Sends what happens, from a thread of its own: a step never waits for Redis."""

    def __init__(self, url: str) -> None:
        self._client = broker.redis_client(url)
        self._queue: queue.Queue[tuple[str, str] | None] = queue.Queue(_WAITING)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._send_on, name="farm-show", daemon=True)
        self._thread.start()

    def event(self, run: str, event: StepEvent) -> None:
        """A step of a run changed its state or phase."""
        told = {"step": event.step, "state": event.state.value, "phase": event.phase, "message": event.message}
        self._put(run, {**told, "seconds": round(event.seconds, 3)})

    def ended(self, run: str) -> None:
        """A job of a run is over: the ledger says how."""
        self._put(run, {"ended": True})

    @contextlib.contextmanager
    def log(self, run: str, step: str, path: Path) -> Iterator[None]:
        """Show what a log grows by while the block runs."""
        over = threading.Event()
        start = path.stat().st_size if path.exists() else 0

        def follow() -> None:
            rest, position = b"", start
            while True:
                last = over.wait(_TICK)
                with contextlib.suppress(OSError), path.open("rb") as stream:
                    position, new = _grown(stream, position)
                    *lines, rest = (rest + new).split(b"\n")
                    if lines:
                        self._put(run, {"step": step, "log": b"\n".join(lines).decode("utf-8", "replace")})
                if last:
                    return

        thread = threading.Thread(target=follow, name="farm-log", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(2 * _TICK + 1)

    def close(self) -> None:
        """Send what waits, for a moment."""
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join(1.0)

    def _put(self, run: str, value: dict[str, Any]) -> None:
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait((run, json.dumps(value)))

    def _send_on(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                self._client.publish(_channel(item[0]), item[1])
            except Exception as error:  # noqa: BLE001 - only a display
                _log.debug("not shown: %s", error)
                self._end.wait(_REST)


class Watcher:
    """Receives what the workers of a run show. `on_end` is called when a job is over."""

    def __init__(
        self, url: str, run: str, tell: Callable[[StepEvent], None], on_log: LogLines, on_end: Callable[[], None]
    ) -> None:
        self._client = broker.redis_client(url)
        self._run = run
        self._tell = tell
        self._on_log = on_log
        self._on_end = on_end
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._receive_on, name="farm-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No call comes after this."""
        self._closed.set()
        self._thread.join(2.0)

    def _receive_on(self) -> None:
        while not self._closed.is_set():
            try:
                with self._client.pubsub(ignore_subscribe_messages=True) as channel:
                    channel.subscribe(_channel(self._run))
                    while not self._closed.is_set():
                        message = channel.get_message(timeout=_TICK)
                        if message is not None:
                            self._receive(message["data"])
            except Exception as error:  # noqa: BLE001 - only a display
                _log.debug("nothing is shown: %s", error)
                self._closed.wait(_REST)

    def _receive(self, data: bytes) -> None:
        """Anybody may write there, and a build may write anything into its log: what is not understood is not shown,
        and no terminal takes orders from it."""
        try:
            value = json_text.loads(data)
            if "ended" in value:
                self._on_end()
            elif "log" in value:
                self._on_log(printable(str(value["step"])), printable(str(value["log"])))
            elif value["state"] == State.RUNNING:
                self._tell(
                    StepEvent(
                        step=printable(str(value["step"])),
                        state=State.RUNNING,
                        phase=printable(str(value["phase"])),
                        seconds=float(value["seconds"]),
                        message=printable(str(value["message"])),
                    )
                )
        except (ValueError, KeyError, TypeError) as error:
            _log.debug("a message that is none: %s", error)


def _channel(run: str) -> str:
    return f"farm:{run}"


def _grown(stream: BinaryIO, position: int) -> tuple[int, bytes]:
    size = stream.seek(0, 2)
    start = max(0 if size < position else position, size - _MOST)  # a log that got shorter was begun anew
    stream.seek(start)
    new = stream.read()
    return start + len(new), new
