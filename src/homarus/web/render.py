"""Templates: everything is escaped, and nothing undefined is passed over."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode

import jinja2

from homarus import __version__
from homarus.base.clock import iso_ms
from homarus.base.errors import HomarusError
from homarus.base.ids import new_id
from homarus.kernel.capabilities import BUILTIN, role_reaches
from homarus.web import words
from homarus.web.acts import Kept
from homarus.web.views import BANNER, VIEWS, View
from homarus.web.visit import Visit

NAVIGATION: Final = tuple(v for v in VIEWS if v.key)
SECTION: Final = {"agent": "agents", "task": "board", "thread": "threads"}
RULE: Final = {v.name: v.rule for v in (*VIEWS, BANNER)}


class Renderer:
    def __init__(self, urls: Mapping[str, str]) -> None:
        env = jinja2.Environment(
            loader=jinja2.PackageLoader("homarus.web", "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        env.globals |= {
            "static": urls,
            "navigation": NAVIGATION,
            "version": __version__,
            "label": words.label,
            "verdicts": words.VERDICTS,
            "delivery": words.DELIVERY,
            "stamp": words.stamp,
            "clock": words.clock,
            "fresh": new_id,
        }
        env.filters |= {
            "plain": words.plain,
            "path": partial(quote, safe=""),
            "pretty": _pretty,
            "money": words.money,
        }
        self._env = env

    def page(
        self, view: View, seen: Visit[dict[str, Any]], source: str, fragment: bool, csrf: str
    ) -> str:
        """The whole page, or its live part. `csrf`: what its forms carry."""
        name = view.fragment if fragment else f"{view.name}.html"
        return self._env.get_template(name).render(
            seen.body,
            view=view,
            section=SECTION.get(view.name, view.name),
            switch=RULE[SECTION.get(view.name, view.name)],
            csrf=csrf,
            here=source.partition("?")[0],
            may=partial(_may, seen.token.role),
            seen=seen,
            now_ms=seen.now_ms,
            source=source,
            banner_source=_banner_source(seen),
            when=partial(_when, seen.now_ms),
            left=partial(_left, seen.now_ms),
            deadline=partial(_deadline, seen.now_ms),
            link=partial(_link, view),
        )

    def error(self, error: HomarusError, kept: Kept | None = None) -> str:
        """`kept`: what somebody wrote in the form that failed, to be sent again."""
        return self._env.get_template("error.html").render(error=error, kept=kept)

    def tap(self, values: Mapping[str, Any]) -> str:
        return self._env.get_template("tap.html").render(values)

    def login(self, error: HomarusError | None, action: str) -> str:
        return self._env.get_template("login.html").render(error=error, action=action)

    def consent(self, values: Mapping[str, Any]) -> str:
        return self._env.get_template("consent.html").render(values)


def _may(role: str | None, capability: str) -> bool:
    """Whether the visitor's role may do it: what it may not is absent from the page."""
    return role_reaches(role, BUILTIN[capability].operator)


def _when(now_ms: int, at_ms: int) -> str:
    """HTML made of numbers: a time for people, the exact one in its title."""
    exact = f'datetime="{iso_ms(at_ms)}" title="{words.stamp(at_ms)}" data-t="{int(at_ms)}"'
    return f"<time {exact}>{words.ago(at_ms, now_ms)}</time>"


def _left(now_ms: int, at_ms: int) -> str:
    exact = f'datetime="{iso_ms(at_ms)}" title="Lease ends {words.stamp(at_ms)}"'
    return f'<time {exact} data-u="{int(at_ms)}">{words.until(at_ms, now_ms)}</time>'


def _deadline(now_ms: int, at_ms: int) -> str:
    exact = f'datetime="{iso_ms(at_ms)}" title="Can be answered until {words.stamp(at_ms)}"'
    return f'<time {exact} data-u="{int(at_ms)}">{words.until(at_ms, now_ms)}</time>'


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _banner_source(seen: Visit[Any]) -> str:
    return f"{BANNER.rule}?{urlencode({'company': seen.company.slug, 'fragment': '1'})}"


def _link(view: View, **values: Any) -> str:
    """This page with these values in its URL; empty ones are left out."""
    kept = {k: str(v) for k, v in values.items() if v not in (None, "")}
    return f"{view.rule}?{urlencode(kept)}" if kept else view.rule
