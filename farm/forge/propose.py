"""A pull request for a branch, on any forge: made once, then kept up to date."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from farm.forge.base import Forge, PullRequest, PullState


class Outcome(StrEnum):
    """What was done about a proposal."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a pull request is to say. `renewed` is a comment for one whose branch was made anew, empty for none."""

    branch: str
    base: str
    title: str
    body: str
    labels: tuple[str, ...] = ()
    renewed: str = ""


def propose(forge: Forge, proposal: Proposal) -> tuple[PullRequest, Outcome]:
    """Open a pull request, or bring the open one up to date. One that people closed is not opened again.

    Safe to run again after any failure. Raises ForgeError.
    """
    pull = forge.find(proposal.branch)
    if pull is not None and pull.state is PullState.CLOSED:
        return pull, Outcome.DECLINED
    if pull is None or pull.state is PullState.MERGED:
        pull = forge.create(branch=proposal.branch, base=proposal.base, title=proposal.title, body=proposal.body)
        outcome = Outcome.CREATED
    elif (pull.title, pull.body) != (proposal.title, proposal.body):
        pull = forge.update(pull.number, title=proposal.title, body=proposal.body)
        outcome = Outcome.UPDATED
    else:
        outcome = Outcome.UNCHANGED
    missing = tuple(label for label in proposal.labels if label not in pull.labels)
    if missing:
        forge.label(pull.number, missing)
    if proposal.renewed and outcome is not Outcome.CREATED:
        forge.comment(pull.number, proposal.renewed)
    return pull, outcome
