"""Programming languages by file name, and how each writes a comment."""

from dataclasses import dataclass

from homarus.demo.jobs._walk import File


@dataclass(frozen=True, slots=True)
class Language:
    """`line`: what begins a comment to the end of the line; `block`: what opens and closes one."""

    name: str
    line: tuple[str, ...] = ()
    block: tuple[str, str] | None = None


_C = (("//",), ("/*", "*/"))
_HASH = (("#",), None)
_MARKUP = ((), ("<!--", "-->"))

BY_SUFFIX: dict[str, Language] = {
    suffix: Language(name, *comments)
    for name, comments, suffixes in (
        ("Python", _HASH, ".py .pyi"),
        ("JavaScript", _C, ".js .mjs .cjs .jsx"),
        ("TypeScript", _C, ".ts .tsx .mts .cts"),
        ("C", _C, ".c .h"),
        ("C++", _C, ".cc .cpp .cxx .hh .hpp .hxx"),
        ("C#", _C, ".cs"),
        ("Java", _C, ".java"),
        ("Kotlin", _C, ".kt .kts"),
        ("Go", _C, ".go"),
        ("Rust", _C, ".rs"),
        ("Swift", _C, ".swift"),
        ("Scala", _C, ".scala"),
        ("PHP", (("//", "#"), ("/*", "*/")), ".php"),
        ("Ruby", _HASH, ".rb"),
        ("Perl", _HASH, ".pl .pm"),
        ("Shell", _HASH, ".sh .bash .zsh"),
        ("Lua", (("--",), ("--[[", "]]")), ".lua"),
        ("SQL", (("--",), ("/*", "*/")), ".sql"),
        ("HTML", _MARKUP, ".html .htm"),
        ("XML", _MARKUP, ".xml .svg"),
        ("CSS", ((), ("/*", "*/")), ".css"),
        ("SCSS", _C, ".scss"),
        ("YAML", _HASH, ".yaml .yml"),
        ("TOML", _HASH, ".toml"),
        ("INI", (("#", ";"), None), ".ini .cfg"),
        ("JSON", ((), None), ".json"),
        ("Markdown", _MARKUP, ".md .markdown"),
        ("reStructuredText", ((), None), ".rst"),
    )
    for suffix in suffixes.split()
}
BY_NAME: dict[str, Language] = {
    "makefile": Language("Make", *_HASH),
    "dockerfile": Language("Dockerfile", *_HASH),
    "cmakelists.txt": Language("CMake", *_HASH),
}
_BY_INTERPRETER = {
    "python": BY_SUFFIX[".py"],
    "node": BY_SUFFIX[".js"],
    "ruby": BY_SUFFIX[".rb"],
    "perl": BY_SUFFIX[".pl"],
    "sh": BY_SUFFIX[".sh"],
    "bash": BY_SUFFIX[".sh"],
}
DATA = frozenset({"JSON", "Markdown", "reStructuredText", "YAML", "TOML", "INI", "XML"})
"""Not source code: documents, data and settings."""


def language_of(file: File, first_line: str = "") -> Language | None:
    """By suffix, by name, or by the interpreter that a first line `#!…` names."""
    found = BY_SUFFIX.get(file.suffix) or BY_NAME.get(file.name.lower())
    if found is None and not file.suffix and first_line.startswith("#!"):
        words = first_line[2:].replace("/", " ").split()
        programs = [word.rstrip("0123456789.") for word in words]
        found = next((_BY_INTERPRETER[at] for at in programs if at in _BY_INTERPRETER), None)
    return found
