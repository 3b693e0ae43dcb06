"""Bounds of a skill's folder, for whoever reads one and whoever is told of one."""

from typing import Final

FILE: Final = "SKILL.md"
MAX_TEXT: Final = 65_536
MAX_FILES: Final = 500
MAX_FILE_BYTES: Final = 10_485_760
MAX_FOLDER_BYTES: Final = 52_428_800
