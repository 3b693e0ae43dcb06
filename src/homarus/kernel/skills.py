"""Skills: folders with a SKILL.md, known by a hash over all of their files (contract, 6).

What comes over the wire is the text of SKILL.md and the list of files with their hashes; paths of
the server are never named. A skill waits in quarantine until a change grants it, and again whenever
its hash changes.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Final

import msgspec

from homarus.base.errors import Invalid
from homarus.base.marked import Unreadable, read
from homarus.base.skill_folder import FILE, MAX_FILE_BYTES, MAX_FILES, MAX_FOLDER_BYTES, MAX_TEXT
from homarus.kernel import registry
from homarus.kernel.registrable import EFFECTS, SKILL, NewCapability
from homarus.store.port import Tx

MAX_PATH: Final = 300

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_FRONT: Final = re.compile(r"---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|$)", re.DOTALL)


class SkillFile(msgspec.Struct, frozen=True, rename="camel"):
    """`path`: below the folder, with `/`. `sha256`: hexadecimal."""

    path: str
    sha256: str
    size_bytes: int


def folder_hash(files: Iterable[SkillFile]) -> bytes:
    """SHA-256 over the sorted paths and their hashes. Raises `skill.files`."""
    rows = sorted(files, key=lambda file: file.path)
    if not 0 < len(rows) <= MAX_FILES:
        raise _wrong("files", f"the folder has {len(rows)} files", f"1 to {MAX_FILES}.")
    if sum(max(row.size_bytes, 0) for row in rows) > MAX_FOLDER_BYTES:
        raise _wrong("files", "the folder is too large", f"At most {MAX_FOLDER_BYTES} bytes.")
    digest = hashlib.sha256()
    before = ""
    for row in rows:
        if not _plain(row.path) or not _SHA256.fullmatch(row.sha256):
            raise _wrong("files", f"{row.path[:100]!r} is no file of a skill",
                         "Relative paths without `..`, each with its SHA-256.")  # fmt: skip
        if row.path == before or not 0 <= row.size_bytes <= MAX_FILE_BYTES:
            raise _wrong("files", f"{row.path[:100]!r} is there twice or has a wrong size",
                         f"Each file once, at most {MAX_FILE_BYTES} bytes.")  # fmt: skip
        before = row.path
        digest.update(f"{row.path}\0{row.sha256}\n".encode())
    return digest.digest()


def _plain(path: str) -> bool:
    parts = path.split("/")
    fine = 0 < len(path) <= MAX_PATH and path.isprintable() and "\\" not in path
    return fine and not any(part in ("", ".", "..") for part in parts)


def read_text(text: str) -> NewCapability:
    """The capability that SKILL.md describes in its front matter. Raises `skill.text`."""
    if len(text.encode(errors="surrogatepass")) > MAX_TEXT:
        raise _wrong("text", f"{FILE} is too large", f"At most {MAX_TEXT} bytes.")
    front = _FRONT.match(text)
    if front is None:
        raise _wrong("text", f"{FILE} has no front matter",
                     "Begin it with `---`, `name:`, `description:`, `---`.")  # fmt: skip
    try:
        node = read(front[1])
    except Unreadable as error:
        at = msgspec.structs.replace(error.problem, line=error.problem.line + 1)
        raise _wrong("text", at.told(FILE), "Correct the front matter.") from error
    for key in ("name", "description"):
        found = node.get(key)
        if found is None or not isinstance(found.value, str) or not found.value.strip():
            place = found or node
            raise _wrong("text", f"{FILE}:{place.line + 1}:{place.column}: no {key}",
                         f"Give `{key}:` and a text.")  # fmt: skip
    plain = node.plain()
    keywords = plain.get("keywords") or []
    effect = plain.get("effect", "read")
    if not isinstance(keywords, list) or effect not in EFFECTS:
        raise _wrong("text", f"{FILE}: keywords or effect cannot be read",
                     f"A list of texts; an effect of {', '.join(EFFECTS)}.")  # fmt: skip
    return NewCapability(
        id=plain["name"].strip(),
        title=plain["name"].strip(),
        description=plain["description"].strip(),
        kind=SKILL,
        keywords=tuple(str(word) for word in keywords),
        risk=str(plain.get("risk", "medium")),
        effect=EFFECTS[effect],
        content=text,
    )


def add(tx: Tx, text: str, files: Iterable[SkillFile]) -> registry.Capability:
    """Register the folder; a new or changed one in quarantine. The same one again changes nothing.

    Raises `skill.text`, `skill.files`, `capability.*`.
    """
    listed = tuple(files)
    sha256 = folder_hash(listed)
    own = next((file for file in listed if file.path == FILE), None)
    if own is None or own.sha256 != hashlib.sha256(text.encode()).hexdigest():
        raise _wrong("files", f"the files do not hold this {FILE}",
                     f"List {FILE} of the top folder, with the hash of its text.")  # fmt: skip
    new = msgspec.structs.replace(read_text(text), sha256=sha256)
    before = registry.by_id(tx, tx.company, new.id)
    if before is not None and before.kind == SKILL and before.sha256 == sha256:
        return before
    return registry.register(tx, new)


def _wrong(code: str, message: str, remedy: str) -> Invalid:
    return Invalid(f"skill.{code}", message, remedy)
