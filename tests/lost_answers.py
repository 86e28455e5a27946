"""A database that carries out what it is asked, and goes before it says so."""

from __future__ import annotations

from typing import Any

import pytest

from farm.errors import UnavailableError
from farm.store.ledger import Ledger


def lose(monkeypatch: pytest.MonkeyPatch, ledger: Ledger, *questions: str) -> set[str]:
    """Lose the first answer to each of some questions, one that says nothing aside. Gives those that were lost."""
    lost: set[str] = set()

    def losing(name: str) -> Any:
        ask = getattr(ledger, name)

        def asked(*given: Any, **named: Any) -> Any:
            answer = ask(*given, **named)
            if name not in lost and answer != ():
                lost.add(name)
                raise UnavailableError("the server closed the connection", where="ledger")
            return answer

        return asked

    for name in questions:
        monkeypatch.setattr(ledger, name, losing(name))
    return lost
