"""Which model answers for an agent: the seam between the loop and the configured models.

    resolve(company, agent, session) -> Choice      raises `model.none` where none is configured

The daemon is given one `Resolve`: `configured`, over the models of its companies.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from homarus.agents.port import ModelPort
from homarus.agents.providers import Opened, Providers
from homarus.agents.scripted import NAME, ScriptedModel, obliging
from homarus.base.errors import Conflict, HomarusError
from homarus.company.agents import Agent
from homarus.conversations.sessions import Session


class Limits(msgspec.Struct, frozen=True):
    """In tokens. `window`: all that one request and its answer may hold."""

    window: int = 128_000
    output: int = 4_096


class Choice(msgspec.Struct, frozen=True):
    """`model`: the id that budgets and receipts name; `wire_model` what the provider calls it, when
    that differs; `fallbacks` are tried in order when this one fails."""

    port: ModelPort
    model: str
    limits: Limits = Limits()
    fallbacks: tuple["Choice", ...] = ()
    provider: str = ""
    wire_model: str = ""

    @property
    def named(self) -> str:
        return self.wire_model or self.model

    def in_order(self) -> tuple["Choice", ...]:
        return (self, *self.fallbacks)


Resolve = Callable[[str, Agent, Session], Awaitable[Choice]]
"""`(company id, agent, session)`; raises `model.none`, and what a configuration raises."""

NO_MODEL: Final = "model.none"
_SCRIPTED: Final = Choice(ScriptedModel(obliging), NAME, provider=NAME)


def no_model(agent: str) -> Conflict:
    return Conflict(
        NO_MODEL,
        f"no model is configured for {agent}",
        "Add one: `homarus model add`. Or try without: "
        f"`homarus agent update {agent} --model scripted`.",
    )


def configured(providers: Providers) -> Resolve:
    """The `Resolve` over configured models: the session's own, else the agent's, else the
    company's `default`, each with those that stand in for it."""

    async def resolve(company: str, agent: Agent, session: Session) -> Choice:
        if NAME in (session.model, agent.llm_model, agent.llm_provider):
            return _SCRIPTED
        try:
            opened = await providers.chain(company, session.model or agent.llm_model)
        except HomarusError as error:
            raise (no_model(agent.name) if error.code == NO_MODEL else error) from error
        first, *others = [_choice(each) for each in opened]
        return msgspec.structs.replace(first, fallbacks=tuple(others))

    return resolve


def _choice(opened: Opened) -> Choice:
    row = opened.model
    limits = Limits(row.context_tokens, row.max_output_tokens)
    return Choice(opened.port, row.model, limits, provider=row.dialect)
