"""`tenure session`: who is signed in, and signing them out."""

from datetime import timedelta
from pathlib import Path

from orchestrator.app import App
from orchestrator.store import sessions
from tests.entry.cli_home import made


def test_a_session_is_listed_and_ended(tmp_path: Path) -> None:
    """Who, since when; ended once, journalled with why."""
    home = made(tmp_path)
    with App.open(home.folder) as app, app.ctx.store.write() as tx:
        now = app.ctx.clock()
        session, plain = sessions.open_(tx, "oidc:u-1", "operator", now, now + timedelta(hours=1))
    (listed,) = home("session", "list", "--json").json
    assert (listed["id"], listed["actor"], plain.split(".")[1] in str(listed)) == (session.id, "oidc:u-1", False)
    assert home("session", "end", session.id, "--why", "has left").code == 0
    row = home("journal", "list", "--json").json[0]
    assert (row["action"], row["subject"], row["why"]) == ("session.closed", session.id, "has left")
    assert home("session", "end", session.id).code == 1
