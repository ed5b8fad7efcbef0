"""What may be used once, in a file that outlives the process and that several processes of a service share.

Of tokens and launches digests are kept until they would no longer be taken anyway, and a key that signs launches. The
file belongs to its owner alone.
"""

import hashlib
import os
import secrets
import sqlite3
import time
from pathlib import Path

from claim_transformers.serving.errors import ServiceError

_FILE_MODE = 0o600
_MOST_ROWS = 200_000
_WAIT_SECONDS = 1.0
_TABLES = """
CREATE TABLE IF NOT EXISTS used (digest BLOB PRIMARY KEY, last REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS used_last ON used (last);
CREATE TABLE IF NOT EXISTS secret (one INTEGER PRIMARY KEY CHECK (one = 1), value BLOB NOT NULL);
"""


class UsedOnce:
    """A set of digests on disk; a process that is killed forgets none of them."""

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        # The files that lie beside it while it is open take its mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE))
        self._database = sqlite3.connect(path, _WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            self._database.execute("PRAGMA journal_mode=WAL")
            # A crash of the machine may lose the last ones, whose lives end while it starts again.
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.executescript(_TABLES)
            self._database.execute("INSERT OR IGNORE INTO secret VALUES (1, ?)", [secrets.token_bytes(32)])
            ((self.key,),) = self._database.execute("SELECT value FROM secret")
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise ValueError(
                f"expected a file of used tokens, or none, as {path.name}, found another: remove it"
            ) from error

    def take(self, *parts: str, last: float) -> bool:
        """Whether something is used for the first time; it is remembered until `last`, seconds since 1970."""
        # Parts of other lengths never give the same digest.
        text = "".join(f"{len(part)}:{part}" for part in parts)
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        try:
            self._database.execute("DELETE FROM used WHERE last < ?", [time.time()])
            ((rows,),) = self._database.execute("SELECT count(*) FROM used")
            if rows >= _MOST_ROWS:
                raise ServiceError(503, "E_BUSY", "expected fewer tokens at a time: ask again later", retry_after=1)
            return self._database.execute("INSERT OR IGNORE INTO used VALUES (?, ?)", [digest, last]).rowcount == 1
        except sqlite3.Error as error:
            raise ServiceError(
                503, "E_WRITE", "expected a disk that takes what was used, found that it does not", retry_after=1
            ) from error

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()
