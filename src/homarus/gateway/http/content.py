"""Parts of a message as clients send them, to parts of a transcript line. Pure.

    text, input_text, output_text, refusal        text
    image_url, input_image                        a picture inside a data URL; nothing is fetched
    file, input_file                              a text file, inside; shown to the model as data

Pictures stay in the transcript, so they are bounded: `turning.MAX_GIVEN` for a whole message.
"""

import base64
import binascii
from typing import Any, Final

from homarus.base.errors import Invalid

MAX_PARTS: Final = 200
MAX_FILE_CHARS: Final = 400_000
MAX_NAME: Final = 200
IMAGES: Final = {
    "image/png": b"\x89PNG",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
    "image/webp": b"RIFF",
}
"""Media types that models take -> how such a file begins."""
_TEXTS: Final = ("text", "input_text", "output_text")

Part = dict[str, Any]


def parts_of(content: Any, where: str) -> tuple[Part, ...]:
    """Raises `request.content`, `request.image`, `request.file`."""
    if content is None:
        return ()
    if isinstance(content, str):
        return (text_part(content),) if content else ()
    if not isinstance(content, list) or len(content) > MAX_PARTS:
        raise _bad(where, f"must be a text or a list of at most {MAX_PARTS} parts")
    return tuple(_part(part, f"{where}[{n}]") for n, part in enumerate(content))


def text_part(text: str) -> Part:
    return {"type": "text", "text": text}


def text_of(parts: tuple[Part, ...]) -> str:
    """What whoever sends it says themselves."""
    return "\n".join(
        part["text"] for part in parts if part["type"] == "text" and "source" not in part
    )


def _part(part: Any, where: str) -> Part:
    if not isinstance(part, dict):
        raise _bad(where, "must be an object")
    kind = part.get("type")
    if kind in _TEXTS and isinstance(part.get("text"), str):
        return text_part(part["text"])
    if kind == "refusal" and isinstance(part.get("refusal"), str):
        return text_part(part["refusal"])
    if kind in ("image_url", "input_image"):
        return _image(part, where)
    if kind in ("file", "input_file"):
        return _file(part, where)
    raise _bad(where, f"has the type {str(kind)[:40]!r}, or not what belongs to it")


def _bad(where: str, what: str) -> Invalid:
    return Invalid("request.content", f"`{where}` {what}", "Send text, pictures or text files.")


# -- pictures and files --------------------------------------------------------------------


def _image(part: Part, where: str) -> Part:
    """A data URL, as either API has it, or `source: {type: base64, media_type, data}`."""
    source = part.get("source")
    if isinstance(source, dict) and source.get("type") == "base64":
        return _picture(str(source.get("media_type")), source.get("data"), where)
    given = part.get("image_url")
    url = given.get("url") if isinstance(given, dict) else given
    if not isinstance(url, str) or not url.startswith("data:"):
        raise Invalid(
            "request.image", f"`{where}` is no data URL",
            "Send the picture itself: `data:image/png;base64,...`; nothing is fetched for you.",
        )  # fmt: skip
    kind, data = _data_url(url, where)
    return _picture(kind, data, where)


def _picture(kind: str, data: Any, where: str) -> Part:
    kind = kind.lower()
    begins = IMAGES.get(kind)
    if begins is None or not isinstance(data, str):
        raise Invalid("request.image", f"`{where}` is {kind[:60]!r}", f"One of {sorted(IMAGES)}.")
    if not _decoded(data, where).startswith(begins):
        raise Invalid(
            "request.image", f"`{where}` is not the {kind} that it says", "Send it whole."
        )
    return {"type": "image", "mimeType": kind, "data": data}


def _data_url(url: str, where: str) -> tuple[str, str]:
    """`(media type, base64)`."""
    head, comma, data = url.removeprefix("data:").partition(",")
    words = head.split(";")
    if not comma or words[-1] != "base64":
        raise Invalid("request.image", f"`{where}` is no base64 data URL",
                      "It looks like `data:image/png;base64,...`.")  # fmt: skip
    return words[0], data


def _decoded(data: str, where: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("request.base64", f"`{where}` is not base64", "Encode the bytes.") from None


def _file(part: Part, where: str) -> Part:
    """A text file; its text is the word of the file, not of who sends it."""
    about = part.get("file") if isinstance(part.get("file"), dict) else part
    if not isinstance(about, dict):
        raise _bad(where, "is no file")
    name, data = str(about.get("filename") or "file")[:MAX_NAME], about.get("file_data")
    source = part.get("source")
    if isinstance(source, dict) and source.get("type") == "base64":
        data, name = source.get("data"), str(source.get("filename") or name)[:MAX_NAME]
    if not isinstance(data, str):
        raise Invalid("request.file", f"`{where}` has no `file_data`",
                      "Send the file itself, in base64; nothing is fetched for you.")  # fmt: skip
    raw = _decoded(_data_url(data, where)[1] if data.startswith("data:") else data, where)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text or len(text) > MAX_FILE_CHARS:
        raise Invalid(
            "request.file", f"{name!r} is no text of at most {MAX_FILE_CHARS} characters",
            "Send text in UTF-8; take it out of a PDF or an office file first.",
        )  # fmt: skip
    return {"type": "text", "text": text, "source": f"file {name}"}
