"""By which clock a redeemed voucher runs: its programme may say something else of later ones. Draws that are over."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from orchestrator.store.instant import Instant

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TERMS = ("claim_within", "use_within")
_programmes = sa.table("programmes", sa.column("name"), sa.column("programme", sa.JSON))
_grants = sa.table("grants", sa.column("programme"), sa.column("account"), *(sa.column(name) for name in TERMS))
_draws = sa.table("draws", sa.column("state"), sa.column("claim_by", Instant()))


def upgrade() -> None:
    for name in TERMS:
        op.add_column("grants", sa.Column(name, sa.BigInteger(), nullable=True))
    connection = op.get_bind()
    for called, programme in connection.execute(sa.select(_programmes.c.name, _programmes.c.programme)).all():
        terms = {name: int(programme[name]) for name in TERMS if programme.get(name) is not None}
        if terms:
            connection.execute(_grants.update().where(
                _grants.c.programme == called, _grants.c.account.is_not(None)).values(terms))
    # From now on workers pass on what was not redeemed: what nobody has passed on so far is left to whoever may.
    connection.execute(_draws.update().where(_draws.c.state == "drawn", _draws.c.claim_by <= datetime.now(UTC)).values(
        state="over"))
