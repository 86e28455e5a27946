"""auditwheel's verdict on a platform tag, asked in a process of its own.

auditwheel changes the working directory while it works, keeps verdicts of files it saw before under the same name, and
meets damaged binaries with whatever exception comes: none of that may happen in a process with worker threads.
Its analysis is internal API, so the version is pinned in pyproject.toml.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from farm.errors import ProcessError

_LIMIT_SECONDS = 600
_MARK = "farm-verdict:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What auditwheel says: the best tag it grants, all `granted` tags (aliases too), and `reasons` against better
    ones. `failure` is set instead if it could not judge."""

    tag: str = ""
    granted: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    failure: str = ""


def verdict(wheel: Path, *, libc: str, arch: str, exclude: Iterable[str]) -> Verdict:
    """Ask auditwheel which tags a wheel deserves. `exclude` are sonames that other wheels bring (globs)."""
    from farm import process

    question = json.dumps({"wheel": str(wheel.resolve()), "libc": libc, "arch": arch, "exclude": sorted(exclude)})
    try:
        done = process.run([sys.executable, "-P", "-m", "farm.gates.judge", question], timeout=_LIMIT_SECONDS)
    except ProcessError as error:
        lines = error.output.strip().splitlines()
        return Verdict(failure=lines[-1] if lines else error.what)
    answers = [line for line in done.output.splitlines() if line.startswith(_MARK)]
    if not answers:
        return Verdict(failure="auditwheel gave no answer")
    answer = json.loads(answers[-1].removeprefix(_MARK))
    return Verdict(
        tag=answer["tag"],
        granted=tuple(answer["granted"]),
        reasons=tuple(answer["reasons"]),
        failure=answer["failure"],
    )


def _answer(question: dict[str, object]) -> dict[str, object]:
    from auditwheel.architecture import Architecture
    from auditwheel.error import AuditwheelError
    from auditwheel.libc import Libc
    from auditwheel.wheel_abi import analyze_wheel_abi

    exclude = question["exclude"]
    assert isinstance(exclude, list)
    try:
        info = analyze_wheel_abi(
            Libc(question["libc"]),
            Architecture(question["arch"]),
            Path(str(question["wheel"])),
            frozenset(exclude),
            disable_isa_ext_check=False,
            allow_graft=False,
            args_ldpaths="",  # libraries of this machine are no evidence
        )
    except AuditwheelError as error:
        return {"tag": "", "granted": [], "reasons": [], "failure": error.message}
    overall = info.overall_policy
    granted = [policy for policy in info.policies if policy.priority <= overall.priority]
    better = sorted((p for p in info.policies if p.priority > overall.priority), key=lambda p: p.priority)
    return {
        "tag": overall.name,
        "granted": [name for policy in granted for name in (policy.name, *policy.aliases)],
        "reasons": _reasons(info, better[0].name) if better else [],
        "failure": "",
    }


def _reasons(info: object, wanted: str) -> list[str]:
    """Why the next better tag is refused. Attributes are auditwheel's."""
    policies = info.policies  # type: ignore[attr-defined]
    external = info.external_refs[wanted]  # type: ignore[attr-defined]
    found = [f"library {name} is not part of {wanted}" for name in sorted(external.libs)]
    found += [f"symbols {', '.join(symbols)} of {name} are refused" for name, symbols in external.blacklist.items()]
    if info.sym_policy.priority < policies.get_policy_by_name(wanted).priority:  # type: ignore[attr-defined]
        versions = {v for of in info.versioned_symbols.values() for v in of}  # type: ignore[attr-defined]
        found.append(f"symbol versions are too new for {wanted}: {', '.join(sorted(versions, key=_by_number)[-5:])}")
    if info.machine_policy == policies.linux:  # type: ignore[attr-defined]
        found.append("a binary is marked as needing more than the baseline instruction set")
    return found


def _by_number(version: str) -> tuple[str, tuple[int, ...]]:
    name, _, numbers = version.rpartition("_")
    return name, tuple(int(part) for part in numbers.split(".") if part.isdigit())


if __name__ == "__main__":
    print(_MARK + json.dumps(_answer(json.loads(sys.argv[1]))))
