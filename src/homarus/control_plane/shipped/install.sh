#!/bin/sh
# Connects this machine to a Homarus control plane.
#
#   curl -fsSL http://HOST:18789/install.sh | EMPEROR_CLAW_API_URL=http://HOST:18789 \
#       EMPEROR_CLAW_API_TOKEN=ec_... sh
#
# Installs Homarus for this user if it is missing, then runs `homarus companion bootstrap` with the
# arguments given. HOMARUS_BIN names a program that is there already, HOMARUS_PACKAGE what to
# install instead of the released package. Nothing needs root.
set -eu

say() { printf '%s\n' "$*"; }
fail() { printf '[error] %s\n' "$*" >&2; exit 1; }

PACKAGE=${HOMARUS_PACKAGE:-homarus}
PLACE=${XDG_DATA_HOME:-$HOME/.local/share}/homarus/venv

find_homarus() {
    for at in "${HOMARUS_BIN:-homarus}" "$PLACE/bin/homarus" "$HOME/.local/bin/homarus"; do
        if command -v "$at" >/dev/null 2>&1; then command -v "$at"; return 0; fi
    done
    return 1
}

find_python() {
    for at in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$at" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
            >/dev/null 2>&1; then command -v "$at"; return 0; fi
    done
    return 1
}

install_homarus() {
    python=$(find_python) || fail "Homarus needs Python 3.11 or newer with its venv module. Install it, then run this again."
    say "[step] installing $PACKAGE into $PLACE"
    "$python" -m venv "$PLACE" || fail "$PLACE cannot be made."
    "$PLACE/bin/python" -m pip install --quiet --upgrade "$PACKAGE" ||
        fail "$PACKAGE could not be installed; what pip said stands above."
}

# The value of one text field of a compact JSON reply.
field() { printf '%s' "$health" | grep -o "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d '"' -f 4; }

# What the control plane says of itself. The token goes by standard input: not for `ps` to show.
tell_health() {
    [ -n "${EMPEROR_CLAW_API_URL:-}" ] && [ -n "${EMPEROR_CLAW_API_TOKEN:-}" ] || return 0
    command -v curl >/dev/null 2>&1 || return 0
    url=${EMPEROR_CLAW_API_URL%/}
    health=$(printf 'header = "Authorization: Bearer %s"\n' "$EMPEROR_CLAW_API_TOKEN" |
        curl -fsS --max-time 10 -K - "${url%/api/mcp}/api/mcp/runtime/health") ||
        fail "$url does not answer, or refuses the token."
    say "[ok] control plane $(field emperorVersion), bridges from $(field minimumBridgeVersion), documentation $(field docsUrl)"
}

main() {
    tell_health
    homarus=$(find_homarus) || {
        install_homarus
        homarus=$(find_homarus) || fail "Homarus is installed, but $PLACE/bin/homarus is missing."
    }
    say "[ok] $("$homarus" --version) at $homarus"
    exec "$homarus" companion bootstrap "$@"
}

# Called at the end: a download that was cut off does nothing.
main "$@"
