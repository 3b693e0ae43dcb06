"""What people call an actor whom a row names by its key (`operator:<token>`, `agent:<id>`)."""

from homarus.store.port import Rx


def actor_name(rx: Rx, key: str) -> str:
    """The agent's or token's name, also of one that is gone; what has none stays as it is."""
    kind, _, ref = key.partition(":")
    table = "agent" if kind == "agent" else "token"
    row = rx.one(f"select name from {table} where id=?", (ref,))  # noqa: S608
    return str(row[0]) if row is not None else ref
