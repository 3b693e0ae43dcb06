"""Which daemon is asked, as whom, in which company."""

import pytest

from tests.support.commands import OWNER, Terminal
from tests.support.scripted_http import Answer, scripted

EMPTY = Answer(200, {"agents": []})


def asked_as(homarus: Terminal, *arguments: str, env: dict[str, str] | None = None) -> tuple:
    """(token, company) that the daemon of the home saw."""
    with scripted(EMPTY) as server:
        homarus.runs(server.url)
        ran = homarus(*[a.replace("URL", server.url) for a in arguments], "agent", "list", env=env)
    assert ran.code == 0, ran.err
    headers = server.asked[0].headers
    return headers["authorization"].removeprefix("Bearer "), headers.get("x-homarus-company")


@pytest.mark.parametrize(
    "arguments, env, expected",
    [
        ([], {}, (OWNER, None)),
        (["--company", "a"], {}, (OWNER, "a")),
        ([], {"HOMARUS_COMPANY": "b"}, (OWNER, "b")),
        (["--company", "a"], {"HOMARUS_COMPANY": "b"}, (OWNER, "a")),
        (["--token", "t"], {}, ("t", None)),
        ([], {"HOMARUS_TOKEN": "u"}, ("u", None)),
        (["--url", "URL"], {}, (OWNER, None)),
        (["--url", "URL/"], {}, (OWNER, None)),
    ],
)
def test_who_and_where(
    homarus: Terminal, arguments: list[str], env: dict[str, str], expected: tuple
) -> None:
    assert asked_as(homarus, *arguments, env=env) == expected


def test_the_owner_token_goes_nowhere_else(homarus: Terminal) -> None:
    homarus.runs("http://127.0.0.1:1")
    with scripted(EMPTY) as other:
        ran = homarus("--url", other.url, "agent", "list")
    assert ran.code == 2
    assert ran.err.startswith("cli.no_token")
    assert other.asked == []


def test_options_count_after_the_command_too(homarus: Terminal) -> None:
    with scripted(EMPTY) as server:
        homarus.runs(server.url)
        homarus("--company", "a", "agent", "list", "--company", "b")
    assert server.asked[0].headers["x-homarus-company"] == "b"


def test_a_chosen_company_is_remembered(homarus: Terminal) -> None:
    with scripted(Answer(200, {"company": {}, "agents": []})) as server:
        homarus.runs(server.url)
        assert homarus("company", "use", "harbour").code == 0
        homarus("agent", "list")
        homarus("agent", "list", "--company", "other")
        assert homarus("company", "use").code == 0
        homarus("agent", "list")
    companies = [asked.headers.get("x-homarus-company") for asked in server.asked]
    assert companies == [None, "harbour", "other", None]


def test_token_show(homarus: Terminal) -> None:
    homarus.runs("http://127.0.0.1:1")
    assert homarus("token", "show").out == OWNER + "\n"
    assert homarus("token", "show", "--json").json == {"token": OWNER}
