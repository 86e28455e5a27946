"""What may happen to a farm, by a seeded chance: see `Chaos`. Not a test module."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import chaos_farm
import witness_log
from chaos_farm import LEASE, WORKERS, Place
from databases import restart
from disks import filled
from redis_server import Redis


@dataclass
class Chaos:
    """A farm's processes, and what chance does to them. Each act is in the log before it is done, so that the log
    tells the story."""

    chance: random.Random
    place: Place
    server: str
    broker: Redis
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    askers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    stopped: set[int] = field(default_factory=set)
    codes: list[int] = field(default_factory=list)  # how those who asked ended, killed ones left out

    def begin(self) -> None:
        """Four workers, and one who asks."""
        self.workers = [self._worker(number) for number in range(WORKERS)]
        self.ask()

    def ask(self) -> None:
        """Somebody advances the cascade to its end. Any number may."""
        if len(self.askers) < 2:
            self.askers.append(self.place.begin("ask", "cascade", "advance", "1", "--wait", "--broker", "env"))

    def act(self) -> None:
        """One thing, by chance."""
        acts: list[Callable[[], None]] = [
            self.kill_slot,
            self.kill_slot,
            self.kill_parent,
            self.kill_machine,
            self.kill_asker,
            self.ask,
            self.stop,
            self.wipe_redis,
            self.restart_postgresql,
            self.crash_postgresql,
            self.fill_disk,
            self.fill_disk,
        ]
        act = self.chance.choice(acts)
        self._say("act", act.__name__)
        act()

    def kill_slot(self) -> None:
        """kill -9 of one process that works."""
        if slots := self._slots():
            self._kill(self.chance.choice(slots))

    def kill_parent(self) -> None:
        """kill -9 of a worker; its slots finish what they have. Another is started in its place."""
        number = self.chance.randrange(WORKERS)
        self._kill(self.workers[number].pid)
        self.workers[number].wait()
        self.workers[number] = self._worker(number)

    def kill_machine(self) -> None:
        """kill -9 of a worker with all it has: as if its machine had lost its power."""
        number = self.chance.randrange(WORKERS)
        slots = self._slots(number)
        self.kill_worker_of(number)
        for pid in slots:
            self._kill(pid)

    def kill_worker_of(self, number: int) -> None:
        self._kill(self.workers[number].pid)
        self.workers[number].wait()
        self.workers[number] = self._worker(number)

    def kill_asker(self) -> None:
        """kill -9 of who asks. Somebody asks again."""
        if self.askers:
            asker = self.askers.pop(self.chance.randrange(len(self.askers)))
            self._kill(asker.pid)
            asker.wait()
        self.ask()

    def stop(self) -> None:
        """A slot stops for longer than its lease, then goes on."""
        if slots := sorted(set(self._slots()) - self.stopped):
            pid = self.chance.choice(slots)
            self._say("stopping", pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                self.stopped.add(pid)

    def wipe_redis(self) -> None:
        """Redis dies with all that it holds, and comes back after a while."""
        self._say("redis", "is-wiped")
        self.broker.stop()
        time.sleep(self.chance.uniform(0.0, 2.0))
        self.broker.start()

    def restart_postgresql(self) -> None:
        """PostgreSQL restarts and cuts every connection."""
        self._say("postgresql", "restarts")
        restart(self.server)

    def crash_postgresql(self) -> None:
        """PostgreSQL dies as in a crash, and recovers."""
        self._say("postgresql", "crashes")
        restart(self.server, how="immediate")

    def fill_disk(self) -> None:
        """The disk with the store, the index and everybody's home is full for a while."""
        self._say("disk", "fills")
        with filled(self.place.root):
            time.sleep(self.chance.uniform(0.5, 3.0))
        self._say("disk", "has-room")

    def let_go(self) -> None:
        """Stopped processes go on."""
        for pid in self.stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.stopped.clear()

    def is_over(self) -> bool:
        """Whether nobody asks any more. Who ended because a disk or a database was away asks again, as a person
        would."""
        for asker in list(self.askers):
            if (code := asker.poll()) is not None:
                self.askers.remove(asker)
                self.codes.append(code)
                if code == 9 and not self.askers:
                    self._say("asking-again")
                    self.ask()
        return not self.askers

    def end(self) -> None:
        """Nothing is left of it, whatever happened."""
        self.let_go()
        for child in (*self.askers, *self.workers):
            child.send_signal(signal.SIGTERM)
        for child in (*self.askers, *self.workers):
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(45)
            child.kill()
            child.wait()
        for pid in self._slots():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _worker(self, number: int) -> subprocess.Popen[bytes]:
        home = self.place.worker_home(number)
        return self.place.begin(f"worker{number}", "worker", "--lease", str(LEASE), home=home)

    def _slots(self, number: int | None = None) -> list[int]:
        """Those of a worker, its parents dead or not; of all."""
        numbers = range(WORKERS) if number is None else [number]
        homes: list[Path] = [self.place.worker_home(one) for one in numbers]
        return [pid for home in homes for pid in chaos_farm.processes(str(home), "--slot")]

    def _kill(self, pid: int) -> None:
        self._say("killing", pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def _say(self, *words: object) -> None:
        witness_log.say(self.place.log, *words)
