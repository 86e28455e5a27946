"""What a test or an audit came to."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """`NOT_RUN` is no verdict and has a reason: no runner, no suite, no network to install what the test needs."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not run"
