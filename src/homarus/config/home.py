"""The state directory of a daemon."""

from pathlib import Path
from typing import Final

from homarus.base.errors import Invalid
from homarus.config.settings import Settings

FOLDERS: Final = ("run", "local-ssot", "blobs", "company", "agents", "shadow", "backups", "logs")


def make_home(settings: Settings) -> None:
    """The state directory and its folders, for their owner alone. Raises `home.unwritable`,
    `home.file`."""
    try:
        for folder in (settings.home, *(settings.home / name for name in FOLDERS)):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (FileExistsError, NotADirectoryError) as error:
        raise in_the_way(Path(error.filename or settings.home)) from error
    except OSError as error:
        raise Invalid(
            "home.unwritable",
            f"{error.filename or settings.home} cannot be made: {error.strerror}",
            "Make the place writable for this user, or name another with --home.",
        ) from error


def in_the_way(place: Path) -> Invalid:
    """That a file stands where `place`, or a folder above it, has to be."""
    file = next((at for at in (place, *place.parents) if at.exists() and not at.is_dir()), place)
    return Invalid(
        "home.file", f"{file} is a file, and a folder has to be there",
        "Name a folder with --home, or move the file away.",
    )  # fmt: skip
