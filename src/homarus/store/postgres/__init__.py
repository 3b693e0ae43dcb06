"""The PostgreSQL engine. Needs the extra `postgres`; start at `engine.py`.

Imported only inside the function that opens such a store, so that an installation without the
driver runs on SQLite and hears what to install when it asks for more.
"""

from homarus.base.errors import Unavailable

try:
    import psycopg  # noqa: F401
except ImportError as error:
    raise Unavailable(
        "store.extra_missing",
        "a store on PostgreSQL needs the driver psycopg, which is not installed",
        "Install it: `pip install homarus[postgres]` (`pipx inject homarus 'psycopg[binary]'`).",
    ) from error
