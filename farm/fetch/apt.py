"""Questions to a Debian archive through an apt of the farm's own.

apt verifies: it runs with lists, cache and state of its own, without root powers, against the archive of this machine's
configuration and with the distribution's own keyring. What it says of a file (name, size, sha256) is what the signed
index says. Nothing of the machine's package system is touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from farm import process
from farm.errors import MissingToolError, UnreachableError
from farm.fetch import locations
from farm.process import Cancel

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
TRUST = f"signed-by={KEYRING}"  # option of a line of sources.list(5)
_TIMEOUT = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Apt:
    """apt with the indices of some suites. `configuration` is its configuration file."""

    configuration: Path
    suites: tuple[str, ...]

    def update(self, *, accept_expired: bool = False, cancel: Cancel | None = None) -> None:
        """Fetch the indices, as far as they changed.

        `accept_expired` takes a signed index whose validity is over, as a mirror has that is no longer fed. Raises
        MissingToolError without apt, UnreachableError with what it says.
        """
        validity = ["-o", "Acquire::Check-Valid-Until=false"] if accept_expired else []
        argv = ["apt-get", "update", "-q", "--error-on=any", *validity]
        done = process.run(argv, env=self._environment(), timeout=_TIMEOUT, check=False, cancel=cancel)
        if done.returncode:
            lines = done.output.strip().splitlines()
            last = "\n".join([line for line in lines if line.startswith("E:")] or lines[-5:])
            raise UnreachableError(
                f"apt cannot read the index of {', '.join(self.suites)}:\n{last}",
                fix="check the network, or --expired",
            )

    def cache(self, *words: str, cancel: Cancel | None = None) -> str:
        """What `apt-cache WORDS` prints, its warnings included; it says nothing of what it does not know."""
        lines: list[str] = []  # as they come: what `process.run` keeps has an end
        process.run(
            ["apt-cache", *words],
            env=self._environment(),
            on_line=lines.append,
            timeout=_TIMEOUT,
            check=False,
            cancel=cancel,
        )
        return "\n".join(lines)

    def _environment(self) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "APT_CONFIG": str(self.configuration), "LC_ALL": "C.UTF-8"}


def configure(place: Path, suites: Sequence[str], *, kind: str, architectures: Sequence[str] = ()) -> Apt:
    """An apt whose files all lie below `place`. `kind` is ``deb`` or ``deb-src``; architectures are Debian's names.

    Raises MissingToolError if this machine has no Debian mirror or no keyring.
    """
    mirrors = locations.debian_mirrors(locations.APT)
    if not mirrors:
        raise MissingToolError(f"no Debian mirror is configured in {locations.APT}", fix="run this on a Debian machine")
    if not KEYRING.is_file():
        raise MissingToolError(f"{KEYRING} is missing", fix="apt-get install debian-archive-keyring")
    for folder in ("lists/partial", "cache/archives/partial", "state"):
        (place / folder).mkdir(parents=True, exist_ok=True)
    options = " ".join([TRUST, *([f"arch={','.join(architectures)}"] if architectures else [])])
    sources = place / "sources.list"
    sources.write_text("".join(f"{kind} [{options}] {mirrors[0]} {suite} main\n" for suite in suites), "utf-8")
    values: Mapping[str, str] = {
        "Dir::Etc::sourcelist": str(sources),
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::parts": "/dev/null",
        "Dir::State": f"{place}/state",
        "Dir::State::lists": f"{place}/lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": f"{place}/cache",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        **({"APT::Architecture": architectures[0]} if architectures else {}),
    }
    text = "".join(f'{key} "{value}";\n' for key, value in values.items())
    if architectures:
        text += "APT::Architectures { " + " ".join(f'"{name}";' for name in architectures) + " };\n"
    configuration = place / "apt.conf"
    configuration.write_text(text, "utf-8")
    return Apt(configuration=configuration, suites=tuple(suites))
