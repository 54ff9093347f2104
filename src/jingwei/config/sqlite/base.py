"""Django's SQLite backend, but for how it waits for the write lock.

SQLite's own busy handler sleeps longer and longer, 100 ms from the twelfth try on. Where several
requests write at once, the lock then lies free most of the time, and who has waited longest waits on.
"""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import suppress

from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError


class DatabaseWrapper(base.DatabaseWrapper):
    def _start_transaction_under_autocommit(self) -> None:
        """Asks every half to two milliseconds, for as long as the setting `timeout` allows; then "database is
        locked", as ever."""
        patience = float(self.settings_dict["OPTIONS"].get("timeout", 5))
        deadline = time.monotonic() + patience
        self.connection.execute("PRAGMA busy_timeout = 0")
        try:
            while True:
                try:
                    super()._start_transaction_under_autocommit()
                    return
                except OperationalError as error:
                    code = getattr(error.__cause__, "sqlite_errorcode", 0)
                    if code & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                        raise
                time.sleep(random.uniform(0.0005, 0.002))  # noqa: S311
        finally:
            with suppress(sqlite3.Error):
                self.connection.execute(f"PRAGMA busy_timeout = {round(patience * 1000)}")
