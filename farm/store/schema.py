"""Opening the ledger's database: engine settings for SQLite and PostgreSQL, and the schema brought up to date.

SQLite runs in WAL mode (readers never wait for the writer) with `synchronous=FULL`: a finished attempt must not be
forgotten by a power cut, and the few commits per step cost nothing beside a build. Write transactions start with
BEGIN IMMEDIATE: a read lock that is upgraded later fails at once instead of waiting for `busy_timeout`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from farm import extras
from farm.errors import MissingToolError, StoreError, UnavailableError
from farm.redact import redact
from farm.store.files import disk_errors, file_lock, make_dirs
from farm.store.idle import try_the_rested
from farm.store.refusals import refusal

HEAD = "0005"  # the newest migration; read here so that an up-to-date ledger opens without importing alembic
WRITE = "farm_write"  # execution option of connections that will write
_BUSY_MS = 30_000
# A network that is cut tells nobody: without these, libpq would wait for hours on a connection that is dead.
_PATIENCE = {
    "connect_timeout": 15,  # seconds, as the next two
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # milliseconds
}
_NO_ROOM = ("disk is full", "disk I/O", "No space left")
_ADVISORY_LOCK = 0x6661726D  # "farm": one number for all farms of a PostgreSQL database


def open_engine(database: str | Path) -> Engine:
    """An engine on a database with the current schema; the database is created or upgraded under a lock.

    `database` is a SQLite file or a URL.

    Raises StoreError: unknown URL, schema of a newer farm; UnavailableError: no answer; MissingToolError: no driver.
    """
    parsed = _parse(database)
    engine = _engine(parsed)
    try:
        with database_errors(parsed):
            _bring_up_to_date(engine, parsed)
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextlib.contextmanager
def database_errors(url: URL) -> Iterator[None]:
    """Turn the database's errors into StoreErrors; those that may pass by themselves into UnavailableErrors."""
    try:
        yield
    except DBAPIError as error:
        place = place_of(url)
        why = " ".join(str(error.orig).split())
        if any(sign in why for sign in _NO_ROOM):
            raise StoreError(
                f"the ledger cannot be written: {why}", where=place, fix="free some space: `farm gc`"
            ) from error
        if "unable to open" in why or "readonly" in why:
            raise StoreError(
                f"the ledger cannot be opened: {why}",
                where=place,
                fix="check the permissions of FARM_HOME; the ledger is written even to look back",
            ) from error
        if "malformed" in why or "not a database" in why:
            raise StoreError(
                f"the ledger is damaged: {why}",
                where=place,
                fix="restore it from a backup, or move it away: artifacts are kept, history is lost (docs/state.md)",
            ) from error
        if (refused := refusal(why)) is not None:
            raise StoreError(f"the ledger is not to be used: {refused[0]}", where=place, fix=refused[1]) from error
        if error.connection_invalidated or "locked" in why or type(error).__name__ == "OperationalError":
            raise UnavailableError(
                f"the ledger does not answer: {why}", where=place, fix="is the database running and reachable?"
            ) from error
        raise StoreError(f"the ledger refused: {why}", where=place) from error


def place_of(url: URL) -> str:
    """Where a database is, for people; without its password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    shown = url.set(drivername=url.get_backend_name())  # as it was given, without our driver
    return redact(shown.render_as_string(hide_password=True))  # a password may be an option, too: sslpassword=...


def _parse(database: str | Path) -> URL:
    if isinstance(database, Path):
        return URL.create("sqlite", database=str(database))  # a path as part of a URL's text would lose its % ? #
    try:
        parsed = make_url(database)
    except (ArgumentError, ValueError) as error:
        raise StoreError(  # which is not repeated: nobody knows where in it a password is
            "is not a database URL", where="FARM_LEDGER", fix="use sqlite:///PATH or postgresql://..."
        ) from error
    name = parsed.get_backend_name()
    if name not in ("sqlite", "postgresql"):
        raise StoreError(f"{name} is not supported", where="FARM_LEDGER", fix="use sqlite:///PATH or postgresql://...")
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise StoreError(
                "the ledger must be a file: threads and processes share it",
                where=str(url),
                fix="name a file: sqlite:////path/to/ledger.sqlite",
            )
        engine = create_engine(url, max_overflow=-1, connect_args={"timeout": _BUSY_MS / 1000})
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        patience = {name: value for name, value in _PATIENCE.items() if name not in url.query}
        engine = create_engine(url, max_overflow=-1, connect_args=patience)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise MissingToolError(
            f"the database driver is not installed: {error}", fix=extras.install("postgresql")
        ) from error
    try_the_rested(engine)
    return engine


def _configure_sqlite(connection: Any, record: object) -> None:  # noqa: ARG001 - SQLAlchemy's signature
    connection.isolation_level = None  # the driver must not begin transactions by itself; _begin_sqlite does
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _bring_up_to_date(engine: Engine, url: URL) -> None:
    if url.get_backend_name() == "sqlite":
        path = Path(str(url.database))
        with disk_errors(path.parent):
            make_dirs(path.parent.resolve())
            if path.exists() and _version(engine) == HEAD:
                return
            with file_lock(path.with_name(path.name + ".lock")):
                with engine.connect() as connection:  # outside a transaction: the mode cannot change inside one
                    connection.connection.cursor().execute("PRAGMA journal_mode=WAL")
                _upgrade(engine, url)
    elif _version(engine) != HEAD:
        _upgrade(engine, url)


def _version(engine: Engine) -> str | None:
    """The migration that the database stands at; None for an empty one."""
    with engine.connect() as connection:
        return _version_on(connection)


def _version_on(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return str(found) if found is not None else None


def _upgrade(engine: Engine, url: URL) -> None:
    """Run the missing migrations in one transaction: all or nothing, and only one process at a time."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with engine.execution_options(**{WRITE: True}).begin() as connection:
        if url.get_backend_name() == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _ADVISORY_LOCK})
        version = _version_on(connection)
        if version == HEAD:
            return  # another process was first
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if version is not None and version not in known:
            raise StoreError(
                f"the ledger has schema {version}, this farm knows {HEAD} at most",
                where=place_of(url),
                fix="use the farm that made it, or a newer one",
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
