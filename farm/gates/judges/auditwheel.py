"""auditwheel, the judge of manylinux and musllinux tags. Its analysis is internal API, so the version is pinned."""

from __future__ import annotations

from pathlib import Path

from farm.gates.judges import Answer, Question, reply


def answer(question: Question) -> Answer:
    """Which tags it grants, with all aliases, and why not better ones."""
    from auditwheel.architecture import Architecture
    from auditwheel.error import AuditwheelError
    from auditwheel.libc import Libc
    from auditwheel.wheel_abi import analyze_wheel_abi

    try:
        info = analyze_wheel_abi(
            Libc(question["libc"]),
            Architecture(question["arch"]),
            Path(question["wheel"]),
            frozenset(question["exclude"]),
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
    reply(answer)
