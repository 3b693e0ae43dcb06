"""Where the answer of a run goes besides to who asked: `deliver` of the method `agent`."""

from typing import TYPE_CHECKING

from homarus.config.channels import WEBCHAT, Channels
from homarus.conversations import places
from homarus.flows import announcing, chatting
from homarus.flows.announcing import Wish
from homarus.flows.chatting import Line, Said
from homarus.gateway.ws.method import Desk

if TYPE_CHECKING:
    from homarus.gateway.ws.methods.chat import AgentCall


def wish(params: "AgentCall", configured: Channels) -> Wish | None:
    """What the call wants; a channel that is not there is refused before anything is done. A chat
    without a channel is on the only one there is.

    Raises `channel.unknown`, `channel.account`.
    """
    named = (params.reply_channel or params.channel or "").strip().lower()
    to = params.reply_to or params.to
    if not params.deliver or named == WEBCHAT:  # where this wire's clients are answered anyway
        return None
    if not named and to is not None and len(configured) == 1:
        named = next(iter(configured))
    account = params.reply_account_id or params.account_id
    if named not in ("", announcing.LAST):
        places.account_of(configured, named, account)
    return Wish(
        channel=named or announcing.LAST, to=to, account_id=account, thread_id=params.thread_id,
        best_effort=params.best_effort_deliver is True,
    )  # fmt: skip


async def accepted(desk: Desk, line: Line) -> Said:
    """To have something said in a chat that the caller names is judged as `send` is."""
    wish = line.deliver
    if wish is None or wish.to is None:
        said: Said = await desk.write(chatting.accept, line, target="turn:new")
        return said
    what = f"{wish.channel} {wish.to}: the answer to: {line.text[:200]}"
    action = desk.peer.action("channel.send", f"channel:{wish.channel}", what=what)
    return await desk.hub.means.store.write(action, chatting.accept, line)
