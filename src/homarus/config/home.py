"""The state directory of a daemon."""

from typing import Final

from homarus.base.errors import Invalid
from homarus.config.settings import Settings

FOLDERS: Final = ("run", "local-ssot", "blobs", "company", "agents", "shadow", "backups", "logs")


def make_home(settings: Settings) -> None:
    """The state directory and its folders, for their owner alone. Raises `home.unwritable`."""
    try:
        for folder in (settings.home, *(settings.home / name for name in FOLDERS)):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Invalid(
            "home.unwritable",
            f"{error.filename or settings.home} cannot be made: {error.strerror}",
            "Make the place writable for this user, or name another with --home.",
        ) from error
