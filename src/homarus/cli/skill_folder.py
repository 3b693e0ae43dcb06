"""A skill's folder as it goes over the wire: the text of SKILL.md and a hash of every file."""

import hashlib
import os
from pathlib import Path
from typing import Any, Final

from homarus.base.errors import Invalid
from homarus.base.skill_folder import FILE, MAX_FILE_BYTES, MAX_FILES, MAX_TEXT

CHUNK_BYTES: Final = 1_048_576


def read(folder: Path) -> dict[str, Any]:
    """`{"text", "files": [{"path", "sha256", "sizeBytes"}]}`, sorted. Links are refused, hidden
    folders of version control left out. Raises `skill.folder`."""
    if not folder.is_dir():
        raise _wrong(f"{folder} is no folder", f"Name the folder that holds {FILE}.")
    files = []
    for place, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if name != ".git")
        for name in sorted(names):
            files.append(_file(folder, Path(place) / name))
            if len(files) > MAX_FILES:
                raise _wrong(f"{folder} has more than {MAX_FILES} files", "Leave some out.")
        for name in below:
            if (Path(place) / name).is_symlink():
                raise _wrong(f"{Path(place) / name} is a link", "Put the files themselves there.")
    main = folder / FILE
    if not main.is_file():
        raise _wrong(f"{folder} has no {FILE}", "A skill begins with it.")
    if main.stat().st_size > MAX_TEXT:
        raise _wrong(f"{main} is larger than {MAX_TEXT} bytes", "Move parts into other files.")
    try:
        text = main.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise _wrong(f"{main} is no UTF-8", "Save it as UTF-8.") from error
    return {"text": text, "files": sorted(files, key=lambda file: str(file["path"]))}


def _file(folder: Path, path: Path) -> dict[str, Any]:
    if path.is_symlink() or not path.is_file():
        raise _wrong(f"{path} is no plain file", "Links and devices are not part of a skill.")
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise _wrong(f"{path} is larger than {MAX_FILE_BYTES} bytes", "Leave it out.")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    relative = path.relative_to(folder).as_posix()
    return {"path": relative, "sha256": digest.hexdigest(), "sizeBytes": size}


def _wrong(message: str, remedy: str) -> Invalid:
    return Invalid("skill.folder", message, remedy)
