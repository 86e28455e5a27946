"""Which recipes are due, from their times in cron form and when each was last done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from catalog_builder import catalog, library
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.catalog import cron, load_from
from farm.watch.schedule import due, rebuilding, watching

NOON = datetime(2024, 5, 15, 12, 0, tzinfo=UTC)  # a Wednesday
FORMS = ("0 5 * * *", "*/15 * * * *", "30 4 1,15 * 5", "0 0 29 2 *", "0 12 * * 3", "59 23 31 12 *", "0 5 L * *")


@pytest.mark.parametrize(
    ("form", "last", "is_due"),
    [
        ("0 5 * * *", NOON - timedelta(hours=6), False),  # 06:00 today, after today's time
        ("0 5 * * *", NOON - timedelta(hours=8), True),  # 04:00 today, before it
        ("0 5 * * *", NOON - timedelta(days=9), True),  # missed nine times: due once
        ("0 12 * * *", NOON - timedelta(seconds=1), True),  # its very minute
        ("0 12 * * *", NOON, False),  # done in this very second
        ("0 5 * * 1", datetime(2024, 5, 13, 5, 0, tzinfo=UTC), False),  # Mondays
        ("0 5 1 * *", datetime(2024, 4, 30, tzinfo=UTC), True),
        ("0 0 29 2 *", datetime(2024, 3, 1, tzinfo=UTC), False),  # next in 2028
        ("0 5 * * *", None, True),  # never done
        ("0 5 * * *", NOON + timedelta(days=4000), True),  # done in the future, by a wrong clock
    ],
)
def test_a_recipe_is_due_if_its_time_came_since_it_was_last_done(
    form: str, last: datetime | None, is_due: bool
) -> None:
    assert due({"a": form}, {} if last is None else {"a": last}, NOON) == (("a",) if is_due else ())


def test_moments_of_another_time_zone_mean_the_same() -> None:
    tokyo = timezone(timedelta(hours=9))
    last = datetime(2024, 5, 15, 13, 0, tzinfo=tokyo)  # 04:00 UTC
    assert due({"a": "0 5 * * *"}, {"a": last}, NOON.astimezone(tokyo)) == ("a",)
    assert due({"a": "0 5 * * *"}, {"a": last}, NOON.replace(hour=4, minute=59).astimezone(tokyo)) == ()


@settings(max_examples=40)
@given(
    st.sampled_from(FORMS),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    st.timedeltas(timedelta(0), timedelta(days=3000)),
)
def test_what_is_due_is_no_longer_due_once_it_was_done_and_again_at_its_next_time(
    form: str, last: datetime, passed: timedelta
) -> None:
    now = last + passed
    first = cron.next_after(form, last)
    assert due({"a": form}, {"a": last}, now) == (("a",) if first <= now else ())
    assert due({"a": form}, {"a": now}, now) == ()
    again = cron.next_after(form, now)
    assert due({"a": form}, {"a": now}, again - timedelta(microseconds=1)) == ()
    assert due({"a": form}, {"a": now}, again) == ("a",)


def test_recipes_say_when_upstream_is_looked_at_and_when_what_waits_is_rolled_out(tmp_path: Path) -> None:
    recipes = load_from(
        catalog(
            tmp_path,
            library("a", watch={"kind": "debian", "at": "a"}),
            library("b", watch={"kind": "pypi", "at": "b", "schedule": "0 6 * * 1"}, rebuild={"schedule": "0 1 * * 6"}),
            library("c"),
        )
    ).recipes
    values = {name: loaded.recipe for name, loaded in recipes.items()}
    assert watching(values) == {"a": "0 5 * * *", "b": "0 6 * * 1"}
    assert rebuilding(values) == {"b": "0 1 * * 6"}
