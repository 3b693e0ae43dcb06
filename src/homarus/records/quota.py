"""Bytes of a company's stored artifacts, earlier versions included, and how many it may have.

The row of `artifact_usage` changes in the unit that brings or frees the bytes, so uploads that run
side by side cannot take more than there is.
"""

from typing import Final

from homarus.base.errors import Invalid, TooLarge
from homarus.store.port import Rx, Tx

QUOTA_BYTES: Final = 1_073_741_824
"""1 GiB a company unless its own row says otherwise (control-plane contract, 10)."""
MAX_QUOTA_BYTES: Final = 2**53 - 1

_USE: Final = (
    "insert into artifact_usage(company, bytes) values(?,?) "
    "on conflict(company) do update set bytes=artifact_usage.bytes+excluded.bytes"
)


def usage(rx: Rx, company: str) -> tuple[int, int]:
    """`(bytes stored, bytes allowed)` of a company."""
    row = rx.one("select bytes, quota_bytes from artifact_usage where company=?", (company,))
    return (0, QUOTA_BYTES) if row is None else (row[0], QUOTA_BYTES if row[1] is None else row[1])


def set_quota(tx: Tx, quota_bytes: int) -> None:
    """How many bytes this company's stored artifacts may have; fewer than it has frees nothing.

    Raises `storage.quota`. Emits `storage_quota_set`.
    """
    if not 0 <= quota_bytes <= MAX_QUOTA_BYTES:
        raise Invalid("storage.quota", "quotaBytes is out of range", f"0 to {MAX_QUOTA_BYTES}.")
    tx.run(
        "insert into artifact_usage(company, quota_bytes) values(?,?) "
        "on conflict(company) do update set quota_bytes=excluded.quota_bytes",
        (tx.company, quota_bytes),
    )
    tx.emit("storage_quota_set", tx.company, {"quota_bytes": quota_bytes})


def check(rx: Rx, company: str, size: int) -> None:
    """Raises `artifact.quota` when `size` more bytes do not fit."""
    used, allowed = usage(rx, company)
    if size > 0 and used + size > allowed:
        raise TooLarge(
            "artifact.quota",
            f"{size} more bytes do not fit: {used} of {allowed} bytes are in use",
            "Delete artifacts that are not needed, or ask an owner for more room.",
            used_bytes=used,
            quota_bytes=allowed,
        )


def use(tx: Tx, size: int) -> None:
    """Take `size` bytes, or give them back when it is negative. Raises `artifact.quota`."""
    check(tx, tx.company, size)
    tx.run(_USE, (tx.company, size))
