"""Running the packaged Alembic revisions on an open connection, inside its transaction."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def config(connection: Connection) -> Config:
    """Alembic's settings; there is no ini file to install."""
    settings = Config()
    settings.set_main_option("script_location", "orchestrator.store:migrations")
    settings.set_main_option("path_separator", "os")
    settings.attributes["connection"] = connection
    return settings


def upgrade(connection: Connection) -> None:
    """Bring the tables to the newest revision."""
    command.upgrade(config(connection), "head")
