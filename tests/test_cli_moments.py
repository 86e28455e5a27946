"""When a fence or an overlay ends, as people write it: dates and days mean the same to both."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from farm.cli import moments
from farm.errors import UsageError

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-12-31", datetime(2026, 12, 31, tzinfo=UTC)),
        ("2026-12-31T01:00:00+02:00", datetime(2026, 12, 30, 23, tzinfo=UTC)),
        ("10d", datetime(2026, 12, 1, 12, tzinfo=UTC)),
    ],
)
def test_a_date_and_a_number_of_days_are_moments_in_utc(text: str, moment: datetime) -> None:
    assert moments.to_come(text, "--until", NOW) == moment


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("soon", "'soon' is no date"),
        ("2026-11-21", "2026-11-21 is over"),
        ("0d", "0d is over"),
        ("9999-12-31T23:59:59-14:00", "is no date"),
    ],
)
def test_what_is_no_moment_to_come_is_refused_and_the_option_named(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as refused:
        moments.to_come(text, "--expires", NOW)
    assert refused.value.where == "--expires"
