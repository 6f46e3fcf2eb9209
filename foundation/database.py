"""One database, SQLite by default or PostgreSQL by URL, with one writer at a time.

Writers take one lock, whichever process they are in: on SQLite an advisory file lock taken before ``BEGIN
IMMEDIATE`` (SQLite's own busy handler sleeps up to 100 ms between tries; a file lock wakes the next writer at once),
on PostgreSQL ``pg_advisory_xact_lock``. This makes upserts free of deadlocks and outbox ids commit in order. It costs
nothing on the hot path because writes are committed in groups.

Durability: a commit need not reach the disk, because the journal of packs is the truth and the index is caught up
from it (design, section 2): SQLite runs in WAL mode with ``synchronous=NORMAL``, PostgreSQL commits the index with
``synchronous_commit=off``. Tables whose content is nowhere else ask for `durable=True`.

References
----------
https://www.sqlite.org/wal.html, https://www.postgresql.org/docs/15/wal-async-commit.html
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, MetaData, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from foundation.errors import Unavailable

# One MetaData for the whole product; packages add their tables to it and never reference each other's rows.
METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# How long a statement may wait for a lock before the caller is told that the database is away.
LOCK_WAIT_S_MAX: Final = 10.0
# Connections a process keeps: one per association thread that queries, beyond which callers wait.
POOL_CONNECTIONS_MAX: Final = 32
# 'TGIX' as a number: the advisory lock key of writers on PostgreSQL.
_WRITER_LOCK_KEY: Final = 0x54474958
# A silent end is asked after 4 s, then every 2 s, and given up after the third time: within LOCK_WAIT_S_MAX.
_KEEPALIVES: Final = {"idle": 4, "interval": 2, "count": 3}
# SQLite's page cache per connection: small, the operating system caches the file already.
_SQLITE_CACHE_KIB: Final = 4096


class DatabaseAway(Unavailable):
    """The database does not answer; the message of the driver is chained, never shown to a peer."""


class Database:
    """Connections to one database, and its single writer lock.

    Parameters
    ----------
    url : str
        SQLAlchemy URL: ``sqlite:////absolute/path`` or ``postgresql+psycopg://...``.
    is_checkpointed_elsewhere : bool
        True in a process whose SQLite log another process writes into the file (`telegarde serve` does so once a
        second): otherwise every thousandth page makes some commit wait for three syncs.
    """

    def __init__(self, url: str, *, is_checkpointed_elsewhere: bool = False) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite and not self.url.database:
            raise ValueError("SQLite in memory is not shared between workers; give a file path")
        self.engine = _create_engine(url, is_sqlite=self.is_sqlite, is_checkpointed_elsewhere=is_checkpointed_elsewhere)
        self._writer_lock = WriterLock(Path(f"{self.url.database}.lock") if self.is_sqlite else None)

    @property
    def dialect_name(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self.engine.dialect.name

    def create_tables(self) -> None:
        """Create every missing table of the product; safe to repeat and to run from several processes.

        Raises
        ------
        DatabaseAway
            If the database does not answer.
        """
        with self.write(durable=True) as connection:
            METADATA.create_all(connection)

    def writer_lock(self) -> "WriterLock":
        """Return the product-wide writer lock, for a ``with`` (on PostgreSQL the transaction takes its own)."""
        return self._writer_lock

    @contextmanager
    def write(self, *, durable: bool = False) -> Iterator[Connection]:
        """Run one write transaction; commit at the end, roll back on any error.

        Parameters
        ----------
        durable : bool
            True when the rows are nowhere else: the commit returns after they are on disk.

        Raises
        ------
        DatabaseAway
            If the database cannot be reached, locked or written.
        """
        try:
            with (
                self.writer_lock(),
                self.engine.connect() as connection,
                self._synchronous(connection, durable=durable),
            ):
                self._begin_write(connection, durable=durable)
                try:
                    yield connection
                except BaseException:
                    connection.rollback()
                    raise
                connection.commit()
        except DBAPIError as error:
            raise _away(error) from error
        except PoolTimeoutError as error:
            raise DatabaseAway("every database connection of this process is busy; try again") from error

    @contextmanager
    def _synchronous(self, connection: Connection, *, durable: bool) -> Iterator[None]:
        # With FULL a commit syncs the log before it returns; it can only be set outside a transaction, and through the
        # driver, because SQLAlchemy begins one before any statement.
        if not (durable and self.is_sqlite):
            yield
            return
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA synchronous=FULL")
        try:
            yield
        finally:
            driver.execute("PRAGMA synchronous=NORMAL")

    def _begin_write(self, connection: Connection, *, durable: bool) -> None:
        if self.is_sqlite:
            connection.execution_options(telegarde_begin="BEGIN IMMEDIATE")
        connection.begin()
        if not self.is_sqlite:
            connection.exec_driver_sql(begin_writing_on_postgresql(durable=durable))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Run one read transaction: a stable snapshot for as long as it is open.

        Raises
        ------
        DatabaseAway
            If the database cannot be reached.
        """
        try:
            with self.engine.connect() as connection:
                if not self.is_sqlite:
                    # PostgreSQL's default shows each statement another state.
                    connection.execution_options(isolation_level="REPEATABLE READ")
                with connection.begin():
                    yield connection
        except DBAPIError as error:
            raise _away(error) from error
        except PoolTimeoutError as error:
            raise DatabaseAway("every database connection of this process is busy; try again") from error

    def ping(self) -> None:
        """Raise `DatabaseAway` unless the database answers now."""
        with self.read() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close every idle connection and the lock file."""
        self.engine.dispose()
        self._writer_lock.close()


class WriterLock:
    """One writer at a time: among the threads of this process and, with a file, among all processes.

    The kernel gives the file lock up when its holder dies. Not reentrant.
    """

    def __init__(self, path: Path | None) -> None:
        self._thread_lock = threading.Lock()
        self._fd = -1 if path is None else os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def __enter__(self) -> None:
        self._thread_lock.acquire()
        if self._fd >= 0:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX)
            except BaseException:
                self._thread_lock.release()
                raise

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        self._thread_lock.release()

    def close(self) -> None:
        """Close the file; the lock must not be used again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def sqlite_url(path: Path) -> str:
    """Return the URL of a SQLite database file."""
    return f"sqlite:///{path.absolute()}"


def begin_writing_on_postgresql(*, durable: bool) -> str:
    """Return the first statement of a write transaction on PostgreSQL: the writer lock, and how it commits.

    A writer that stops in the middle, or whose machine vanishes, must not keep the lock: the server ends it.
    """
    settings = {"idle_in_transaction_session_timeout": f"{int(LOCK_WAIT_S_MAX)}s"}
    if not durable:
        settings["synchronous_commit"] = "off"
    calls = [f"pg_advisory_xact_lock({_WRITER_LOCK_KEY})"]
    calls += [f"set_config('{name}', '{value}', true)" for name, value in settings.items()]
    return f"SELECT {', '.join(calls)}"


def _away(error: DBAPIError) -> Exception:
    # A broken constraint is our own defect, not an outage: let it stop the caller.
    kind = type(error.orig).__name__
    if kind in {"IntegrityError", "UniqueViolation", "ProgrammingError", "UndefinedTable"}:
        return error
    return DatabaseAway(f"the database does not answer ({kind}); check that it runs and has room")


def _create_engine(url: str, *, is_sqlite: bool, is_checkpointed_elsewhere: bool) -> Engine:
    if not is_sqlite:
        return create_engine(
            url,
            pool_size=POOL_CONNECTIONS_MAX,
            pool_timeout=LOCK_WAIT_S_MAX,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": int(LOCK_WAIT_S_MAX),
                # A server that vanished, a client that did, and a writer that hangs are noticed within the same bound.
                "tcp_user_timeout": int(LOCK_WAIT_S_MAX * 1000),
                **{f"keepalives_{name}": value for name, value in _KEEPALIVES.items()},
                "options": " ".join(
                    [
                        f"-c lock_timeout={int(LOCK_WAIT_S_MAX * 1000)}",
                        *(f"-c tcp_keepalives_{name}={value}" for name, value in _KEEPALIVES.items()),
                    ]
                ),
            },
        )
    engine = create_engine(
        url,
        pool_size=POOL_CONNECTIONS_MAX,
        pool_timeout=LOCK_WAIT_S_MAX,
        connect_args={"timeout": LOCK_WAIT_S_MAX, "check_same_thread": False},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    if is_checkpointed_elsewhere:
        event.listen(engine, "connect", _leave_checkpoints)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _entry: ConnectionPoolEntry) -> None:
    # The driver must not open transactions by itself: ours begin explicitly, in the mode that we choose.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA cache_size=-{_SQLITE_CACHE_KIB}")
    cursor.close()


def _leave_checkpoints(connection: Any, _entry: ConnectionPoolEntry) -> None:
    connection.execute("PRAGMA wal_autocheckpoint=0")


def _begin_sqlite(connection: Connection) -> None:
    begin = connection.get_execution_options().get("telegarde_begin", "BEGIN")
    connection.exec_driver_sql(begin)
