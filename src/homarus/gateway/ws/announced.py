"""Where the answer of a run goes besides to who asked: `deliver` of `agent` and `chat.send`."""

from typing import TYPE_CHECKING

import msgspec

from homarus.config.channels import WEBCHAT, Channels
from homarus.conversations import places
from homarus.flows import announcing, chatting
from homarus.flows.announcing import Wish
from homarus.flows.chatting import Line, Said
from homarus.gateway.ws.method import Desk

if TYPE_CHECKING:
    from homarus.gateway.ws.methods.chat import AgentCall, ChatSend


def of_run(params: "AgentCall", configured: Channels) -> Wish | None:
    """Raises `channel.unknown`, `channel.account`."""
    asked = Wish(
        channel=params.reply_channel or params.channel or "", to=params.reply_to or params.to,
        account_id=params.reply_account_id or params.account_id, thread_id=params.thread_id,
        best_effort=params.best_effort_deliver is True,
    )  # fmt: skip
    return _wish(asked, configured) if params.deliver else None


def of_chat(params: "ChatSend", configured: Channels) -> Wish | None:
    """To where it came from, or else where the conversation was last heard from; who wrote is
    answered on this wire in any case. Raises `channel.unknown`, `channel.account`."""
    asked = Wish(
        channel=params.originating_channel or "", to=params.originating_to,
        account_id=params.originating_account_id, thread_id=params.originating_thread_id,
        best_effort=True,
    )  # fmt: skip
    return _wish(asked, configured) if params.deliver else None


def _wish(asked: Wish, configured: Channels) -> Wish | None:
    """A channel that is not there is refused before anything is done. A chat without a channel is
    on the only one there is."""
    named = asked.channel.strip().lower()
    if named == WEBCHAT:  # where this wire's clients are answered anyway
        return None
    if not named and asked.to is not None and len(configured) == 1:
        named = next(iter(configured))
    if named not in ("", announcing.LAST):
        places.account_of(configured, named, asked.account_id)
    return msgspec.structs.replace(asked, channel=named or announcing.LAST)


async def accepted(desk: Desk, line: Line) -> Said:
    """To have something said in a chat that the caller names is judged as `send` is."""
    wish = line.deliver
    if wish is None or wish.to is None:
        said: Said = await desk.write(chatting.accept, line, target="turn:new")
        return said
    what = f"{wish.channel} {wish.to}: the answer to: {line.text[:200]}"
    action = desk.peer.action("channel.send", f"channel:{wish.channel}", what=what)
    return await desk.hub.means.store.write(action, chatting.accept, line)
