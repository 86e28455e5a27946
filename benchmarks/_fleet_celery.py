"""Plain Celery, as its manual begins: one task, Redis as broker and for results."""

from __future__ import annotations

from typing import Any

from celery import Celery


def app_of(address: str) -> Celery:
    """The application."""
    app = Celery("plain", broker=address, backend=address)
    app.conf.update(task_serializer="json", accept_content=["json"], broker_connection_retry_on_startup=True)

    def step(step: str) -> dict[str, Any]:
        return {"state": "built", "step": step}

    app.task(name="plain.step")(step)
    return app
