"""Entry point. Imports next to nothing, so that `homarus --version` costs next to nothing."""

import sys
from typing import NoReturn

from homarus import __version__


def main() -> NoReturn:
    if sys.argv[1:] in (["--version"], ["-V"]):
        sys.stdout.write(f"homarus {__version__}\n")
        sys.exit(0)
    from homarus.cli.app import cli

    cli.main(prog_name="homarus")


if __name__ == "__main__":
    main()
