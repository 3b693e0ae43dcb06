"""The route behind `homarus dashboard`: a link that opens the dashboard once."""

from homarus.control_plane.route import Call, Route, json_reply, write_route
from homarus.kernel import browser
from homarus.store.port import Reply, Tx

LOGIN_PATH = "/app/login"


def create_code(tx: Tx, call: Call[None]) -> Reply:
    """`{"url"}`, good once within a minute; the code in it is stored as a hash only."""
    code = browser.make_code(tx)
    return json_reply({"url": f"{call.base_url}{LOGIN_PATH}?code={code}"}, 201)


ROUTES: tuple[Route, ...] = (
    write_route(
        "POST", "/dashboard/codes", "dashboard.open", create_code,
        "Make a link that opens the dashboard once",
        status=201, keyed="ignored", scope="any", target="dashboard:", tags=("dashboard",),
    ),
)  # fmt: skip
