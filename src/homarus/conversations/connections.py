"""Which daemon has an account of a channel: of several on one store, one at a time (design, 10)."""

from homarus.store.port import Tx


def hold(tx: Tx, channel: str, account: str, holder: str, until_ms: int) -> bool:
    """Take it, or keep it; False: another has it. Emits `channel_held` when it changes hands."""
    row = tx.one(
        "select holder, until_ms from channel_lease where company=? and channel=? and account=?",
        (tx.company, channel, account),
    )
    if row is not None and row[0] != holder and row[1] > tx.now_ms:
        return False
    tx.run(
        "insert into channel_lease(company, channel, account, holder, until_ms) values(?,?,?,?,?) "
        "on conflict(company, channel, account) do update set holder=excluded.holder, "
        "until_ms=excluded.until_ms",
        (tx.company, channel, account, holder, until_ms),
    )
    if row is None or row[0] != holder:
        tx.emit("channel_held", tx.company, {"channel": channel, "account": account})
    return True


def let_go(tx: Tx, channel: str, account: str, holder: str) -> None:
    """Another may have it at once. Emits `channel_let_go`."""
    if tx.run(
        "delete from channel_lease where company=? and channel=? and account=? and holder=?",
        (tx.company, channel, account, holder),
    ):
        tx.emit("channel_let_go", tx.company, {"channel": channel, "account": account})
