# Sourced by scripts/demo and scripts/test: a Python, a virtual environment, an install that is made once.
#
# PYTHON            the interpreter to use (default: the first of python3, python3.13, python3.12, python3.11 that will do)
# RAIL_WATCH_VENV   where the virtual environment lies (default: .venv at the top of the checkout)

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="${RAIL_WATCH_VENV:-$ROOT/.venv}"
BIN="$VENV/bin"

fail() { printf '%s\n' "$*" >&2; exit 1; }
say() { printf '%s\n' "$*" >&2; }

is_new_enough() { "$1" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    local name
    if [ -n "${PYTHON:-}" ]; then
        is_new_enough "$PYTHON" || fail "PYTHON=$PYTHON: does not run or is older than Python 3.11"
        printf '%s\n' "$PYTHON"
        return
    fi
    for name in python3 python3.13 python3.12 python3.11; do
        if is_new_enough "$name"; then printf '%s\n' "$name"; return; fi
    done
    fail "rail-watch needs Python 3.11 or newer, and none was found on the PATH; name one with PYTHON=/path/to/python"
}

identity() { "$1" -c 'import sys; print(sys.base_prefix, sys.version)'; }

# A virtual environment that works and is not of another Python than the one asked for.
venv_serves() {
    [ -x "$BIN/python" ] && is_new_enough "$BIN/python" && "$BIN/python" -m pip --version >/dev/null 2>&1 || return 1
    [ -z "${PYTHON:-}" ] || [ "$(identity "$BIN/python")" = "$(identity "$1")" ]
}

make_venv() {
    local python
    python="$(find_python)"
    if venv_serves "$python"; then return; fi
    "$python" -c 'import venv, ensurepip' >/dev/null 2>&1 ||
        fail "$python has no venv module; on Debian or Ubuntu: apt-get install python3-venv, elsewhere set PYTHON to another Python"
    say "making a virtual environment in $VENV with $("$python" --version)"
    "$python" -m venv --clear "$VENV"
}

# What was installed, so that a second run need not ask pip again.
fingerprint() {
    "$BIN/python" - "$ROOT" "$1" <<'PY'
import hashlib, pathlib, sys
root, extras = pathlib.Path(sys.argv[1]), sys.argv[2]
digest = hashlib.sha256(f"{root} {sys.version} {extras}".encode())
for name in ("pyproject.toml", "constraints.txt"):
    digest.update((root / name).read_bytes())
print(digest.hexdigest())
PY
}

# install EXTRAS: an editable install, so that a changed source needs no second one. EXTRAS is "" or "[dev]".
install() {
    local stamp="$VENV/rail-watch-installed$1" now
    now="$(fingerprint "$1")"
    if [ -x "$BIN/rail-watch" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$now" ]; then return; fi
    say "installing rail-watch$1 (about a minute; once)"
    rm -f "$stamp"
    "$BIN/python" -m pip install --quiet --disable-pip-version-check \
        --constraint "$ROOT/constraints.txt" --editable "$ROOT$1" || fail "pip could not install rail-watch$1; see above"
    system_libraries
    printf '%s\n' "$now" >"$stamp"
}

# rasterio's wheels lean on the system's libexpat, which a bare container may lack.
system_libraries() {
    local trouble
    trouble="$("$BIN/python" -c 'import rasterio' 2>&1 >/dev/null)" && return
    case "$trouble" in
    *libexpat*)
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            say "installing the system package libexpat1, which rasterio needs"
            { apt-get update -qq && apt-get install -y -qq --no-install-recommends libexpat1; } >/dev/null ||
                fail "apt-get could not install libexpat1; install it and run this again"
        else
            fail "rasterio needs the system library libexpat (Debian and Ubuntu: apt-get install libexpat1)"
        fi
        ;;
    *) fail "rasterio does not import: ${trouble##*$'\n'}" ;;
    esac
}
