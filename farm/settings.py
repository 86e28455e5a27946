"""Where things are on this machine, and what this machine is.

The only module that asks the machine (`sys.platform`, environment). Everything about a *host platform* is data from
a toolchain file instead.
"""

from __future__ import annotations

import os
import platform as _platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from farm.errors import UsageError

_UNITS = ("", "k", "m", "g", "t")
GITHUB_API = "https://api.github.com"
GITHUB_TOKEN = "GITHUB_TOKEN"  # noqa: S105 - the name of a variable


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The farm's places. `catalog` holds `recipes/` and `toolchains/`; `home` is FARM_HOME; `cache` is per user.

    `store_url` is the shared store (FARM_STORE), empty if there is none; `cache_limit` how many bytes of wheels are
    kept here while that has them (FARM_CACHE_LIMIT), 0 for any number.
    `ledger_url` is the database of a ledger outside FARM_HOME, empty if it is there; `notify_file` says who is told of
    what happens, empty if that is in the catalog. `forge_api` is the address of the
    API that pull requests go to, `forge_token_variable` the name of the environment variable with the token for it.
    """

    catalog: Path
    home: Path
    cache: Path
    cores: int
    sandbox: bool = True
    store_url: str = ""
    cache_limit: int = 0
    ledger_url: str = ""
    notify_file: str = ""
    forge_api: str = GITHUB_API
    forge_token_variable: str = GITHUB_TOKEN

    @property
    def recipes(self) -> Path:
        """One directory a recipe."""
        return self.catalog / "recipes"

    @property
    def toolchains(self) -> Path:
        """One file a platform."""
        return self.catalog / "toolchains"

    @property
    def trusted_keys(self) -> Path:
        """Whose signatures count on metadata overlays."""
        return self.catalog / "trusted-keys"

    @property
    def store(self) -> Path:
        """Wheels by key."""
        return self.home / "store"

    @property
    def ledger(self) -> str | Path:
        """The ledger's database: a URL if one was given, else a file, whose path may hold any character."""
        return self.ledger_url or self.home / "ledger.sqlite"

    @property
    def index(self) -> Path:
        """Channels and their generations."""
        return self.home / "index"

    @property
    def notify(self) -> Path:
        """Who is told of what happens: a file that may be missing."""
        return Path(self.notify_file) if self.notify_file else self.catalog / "notify.toml"

    @property
    def logs(self) -> Path:
        """One file a build key."""
        return self.home / "logs"

    @property
    def abi(self) -> Path:
        """ABIs that were measured, by build key."""
        return self.home / "abi"

    @property
    def fleet(self) -> Path:
        """The key that signs orders, the list of trusted keys, and catalogs of orders that were carried out here."""
        return self.home / "fleet"

    @property
    def work(self) -> Path:
        """Scratch space of builds; anything in it may be removed when no farm runs."""
        return self.home / "work"

    @property
    def downloads(self) -> Path:
        """Source archives by hash, shared by all farms of a user."""
        return self.cache / "downloads"

    @property
    def sources(self) -> Path:
        """Unpacked archives of releases, which builds for all platforms copy."""
        return self.cache / "sources"

    @property
    def containers(self) -> Path:
        """Root file systems of the containers in which cibuildwheel is tried (docs/containers.md)."""
        return self.cache / "containers"


def load(
    *,
    catalog: Path | None = None,
    home: Path | None = None,
    sandbox: bool = True,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Settings from arguments, then FARM_CATALOG / FARM_HOME / FARM_CACHE / FARM_STORE / FARM_LEDGER, then defaults.

    The catalog defaults to the nearest directory at or above the current one that holds `recipes/` and
    `toolchains/`; FARM_HOME to `.farm` beside them.
    """
    env = os.environ if environ is None else environ
    root = catalog or _from_env(env, "FARM_CATALOG") or _nearest_catalog(_here())
    state = home or _from_env(env, "FARM_HOME") or root / ".farm"
    return Settings(
        catalog=_place(root, "the catalog"),
        home=_place(state, "FARM_HOME"),
        cache=_place(_from_env(env, "FARM_CACHE") or _user_cache(), "the cache"),
        cores=_cores(env),
        sandbox=sandbox,
        store_url=env.get("FARM_STORE", "").strip(),
        cache_limit=parse_size(env.get("FARM_CACHE_LIMIT") or "0", "FARM_CACHE_LIMIT"),
        ledger_url=env.get("FARM_LEDGER", ""),
        notify_file=env.get("FARM_NOTIFY", ""),
        forge_api=env.get("FARM_FORGE_API") or GITHUB_API,
        forge_token_variable=env.get("FARM_FORGE_TOKEN_VARIABLE") or GITHUB_TOKEN,
    )


def forge_token(settings: Settings, environ: Mapping[str, str] | None = None) -> str:
    """The token for the forge's API. It is in the environment only: it is never kept, and never said."""
    token = (os.environ if environ is None else environ).get(settings.forge_token_variable, "").strip()
    if not token or not token.isascii() or not token.isprintable():
        raise UsageError(
            f"the environment variable {settings.forge_token_variable} holds no token",
            where="environment",
            fix=f"set {settings.forge_token_variable}, or FARM_FORGE_TOKEN_VARIABLE to the name of another one",
        )
    return token


def parse_size(text: str, where: str) -> int:
    """Bytes of ``20G``, ``1.5T``, ``500M``, ``12000`` (powers of 1000). Raises UsageError."""
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,3})?)\s*([kMGT]?)B?", text.strip(), re.IGNORECASE)
    if found is None:
        raise UsageError(f"{text!r} is no size", where=where, fix="write 500M or 20G")
    return int(float(found[1]) * 1000 ** _UNITS.index(found[2].lower()))


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise UsageError(
            f"the current directory is gone: {error.strerror}", where="settings", fix="cd to one that is there"
        ) from error


def _cores(env: Mapping[str, str]) -> int:
    wanted = env.get("FARM_CORES", "")
    if not wanted:
        may_use = getattr(os, "sched_getaffinity", None)  # Linux alone has it; `farm repair` runs elsewhere, too
        return len(may_use(0)) if may_use else os.cpu_count() or 1
    if not re.fullmatch(r"0*[1-9][0-9]{0,4}", wanted):
        raise UsageError(
            f"FARM_CORES is {wanted!r}, not a number from 1 to 99999", where="environment", fix="unset FARM_CORES"
        )
    return int(wanted)


def _from_env(env: Mapping[str, str], name: str) -> Path | None:
    value = env.get(name)
    return Path(value) if value else None


def _place(path: Path, what: str) -> Path:
    """The path without symbolic links. Raises UsageError if ledgers, logs and build files could not hold its name."""
    try:
        place = path.resolve()
        text = str(place).encode().decode()
    except (OSError, RuntimeError, ValueError) as error:  # UnicodeEncodeError is a ValueError; RuntimeError: a loop
        raise UsageError(
            f"{what} cannot be at {str(path)!r}: {error}",
            where="settings",
            fix="use a path that is valid UTF-8 (under a UTF-8 locale, such as LC_ALL=C.UTF-8)",
        ) from error
    if any(character < " " or character == "\x7f" for character in text):
        raise UsageError(
            f"{what} cannot be at {text!r}: its path holds a line break or another control character",
            where="settings",
            fix="use another directory",
        )
    return place


def _nearest_catalog(start: Path) -> Path:
    for place in (start, *start.parents):
        if (place / "recipes").is_dir() and (place / "toolchains").is_dir():
            return place
    return start


def _user_cache() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("wheel-farm", appauthor=False))


def build_machine() -> str:
    """The build platform's architecture as the kernel names it, for example ``x86_64``."""
    return _platform.machine()


def on_linux() -> bool:
    """True if the build machine runs Linux."""
    return sys.platform == "linux"


def boot_id() -> str:
    """What changes when this machine starts anew; empty where nothing says so (Linux: random(4))."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""
