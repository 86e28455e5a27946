"""What a bump says of itself: as the message of a commit and, the same words, as the text of a pull request."""

from __future__ import annotations

from farm.watch.bump import Bump
from farm.watch.gather import Gathered
from farm.watch.patches import Fit, Tried


def title(found: Bump) -> str:
    """The first line."""
    return f"{found.recipe} {found.version}"


def commit(found: Bump, facts: str, trailer: str) -> str:
    """The whole message. `facts` are further paragraphs; the trailer tells the farm that the commit is its own."""
    parts = [title(found), f"After {found.before}.", sources(found), patches(found), facts.strip(), trailer]
    return "\n\n".join(part for part in parts if part) + "\n"


def body(text: str) -> str:
    """The text of a pull request from a commit's message: without its title and trailer. Lists read the same there."""
    lines = text.strip().splitlines()[1:]
    return "\n".join(line for line in lines if not line.startswith("Farm-Bump: ")).strip() + "\n"


def sources(found: Bump) -> str:
    """Where the release comes from, with hashes."""
    return "\n".join(["Sources:", *(line for item in found.sources for line in _source(item))])


def _source(item: Gathered) -> list[str]:
    if item.is_kept:
        return [f"- as before: {item.source.location[0].url}"]
    return [
        *(f"- {location.url}\n  sha256 {location.sha256}" for location in item.source.location),
        # Without the reason: it may be another one the next time, and that is no news.
        *(f"- not there: {reason.partition(': ')[0]}" for reason in item.left_out),
    ]


def patches(found: Bump) -> str:
    """Which patches fit; empty if there are none."""
    return "\n".join(["Patches:", *(_patch(tried) for tried in found.patches)]) if found.patches else ""


def _patch(tried: Tried) -> str:
    mark = "" if tried.fit is Fit.APPLIES else " **to do**"
    return f"- {tried.name}: {tried.fit}{mark}"
