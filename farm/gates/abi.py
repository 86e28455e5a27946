"""The ABI gate: a build that breaks what its recipe has pinned is not stored. Pure."""

from __future__ import annotations

from farm.abi.compare import compare
from farm.model.abi import Abi, AbiChange, AbiDifference, ChangeKind, Verdict
from farm.model.finding import Finding, Severity

CHECK = "abi"
_SHOWN = 20


def judge(pinned: Abi, found: Abi) -> tuple[Finding, ...]:
    """What is to be said of a build's ABI against the pinned one, each under the epoch that it names.

    Without types on either side only symbols count. A break under the same epoch is an error; an epoch that was raised
    without a break is a warning, and so are symbols that came without a new release and constants of headers that have
    another value.
    """
    if found.epoch < pinned.epoch:
        return (_lowered(pinned, found),)
    difference = compare(pinned, found)
    broken = difference.verdict is Verdict.BREAKING
    if pinned.epoch == found.epoch:
        if broken:
            return _breaks(difference)
        return _unpinned(difference) if pinned.release == found.release else _constants(difference)
    return () if broken or not (pinned.typed and found.typed) else (_needless(pinned, found),)


def _breaks(difference: AbiDifference) -> tuple[Finding, ...]:
    older, newer = difference.older, difference.newer
    changes = [change for change in difference.changes if change.verdict is Verdict.BREAKING]
    fix = (
        f"write `abi_epoch = {newer.epoch + 1}` into the [[release]] {newer.release} of "
        f"recipes/{newer.recipe}/recipe.toml: dependents then move together; "
        "`farm abi diff` says more. A name that no header declares, and so no program uses, is for `internal` of [abi]"
    )
    if older.platform != newer.platform:
        accept = f"farm abi accept {newer.recipe}@{newer.release} --exports --platform {newer.platform}"
        fix += f". If it differs from {older.platform} by nature: {accept}"
    shown = [_finding(change, f"breaks the ABI of {older.release}: {change.said}", fix) for change in changes[:_SHOWN]]
    rest = len(changes) - len(shown)
    if rest:
        shown.append(_finding(changes[-1], f"and {rest} more changes break the ABI of {older.release}", fix))
    return tuple(shown)


def _finding(change: AbiChange, fact: str, fix: str, severity: Severity = Severity.ERROR) -> Finding:
    return Finding(check=CHECK, severity=severity, file=change.library or change.subject, fact=fact, fix=fix)


def _unpinned(difference: AbiDifference) -> tuple[Finding, ...]:
    """The same release has more than what was pinned."""
    new = [change for change in difference.changes if change.library]
    if not new:
        return ()
    newer = difference.newer
    fact = f"not as pinned for {newer.release}: {new[0].said}" + (f" and {len(new) - 1} more" if new[1:] else "")
    fix = f"farm abi accept {newer.recipe}@{newer.release} --platform {newer.platform}"
    return (_finding(new[0], fact, fix, Severity.WARNING),)


def _constants(difference: AbiDifference) -> tuple[Finding, ...]:
    """Values that programs carry in them, and that a person has to judge."""
    changed = [change for change in difference.changes if change.kind is ChangeKind.CONSTANT]
    if not changed:
        return ()
    older, newer = difference.older, difference.newer
    rest = f" and {len(changed) - 1} more" if changed[1:] else ""
    fact = f"not as in {older.release}: {changed[0].said}{rest}"
    fix = (
        f"if programs that pass the old value break: `abi_epoch = {newer.epoch + 1}` in the [[release]] "
        f"{newer.release} of recipes/{newer.recipe}/recipe.toml; `farm abi diff` has all"
    )
    return (_finding(changed[0], fact, fix, Severity.WARNING),)


def _lowered(pinned: Abi, found: Abi) -> Finding:
    return _of_epoch(
        found,
        Severity.ERROR,
        f"is {found.epoch}, below {pinned.epoch}, which {pinned.release} is pinned under: the shared name would be "
        "that of another ABI",
        f"write `abi_epoch = {pinned.epoch}`, or a higher one, into the [[release]] {found.release}",
    )


def _needless(pinned: Abi, found: Abi) -> Finding:
    return _of_epoch(
        found,
        Severity.WARNING,
        f"was raised from {pinned.epoch} to {found.epoch}, but {found.release} does not break the ABI of "
        f"{pinned.release}: every dependent has to move for nothing",
        f"take back epoch {pinned.epoch}, in the [[release]] {found.release} or in [abi], unless upstream changed what "
        "functions mean",
    )


def _of_epoch(found: Abi, severity: Severity, fact: str, fix: str) -> Finding:
    file = f"recipes/{found.recipe}/recipe.toml"
    return Finding(check=CHECK, severity=severity, file=file, fact=f"the ABI epoch {fact}", fix=fix)
