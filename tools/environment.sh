# Sourced by the scripts beside it: makes a virtual environment with archcast in it.
# ARCHCAST_VENV names another place for it; PYTHON another interpreter.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
venv="${ARCHCAST_VENV:-$root/.venv}"

# install EXTRAS: e.g. install "" or install "[dev]"
install() {
  local python="${PYTHON:-python3}" wanted
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "archcast needs Python 3.11 or later; set PYTHON to such an interpreter" >&2
    exit 2
  }
  [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
  # What was installed last time from the same description need not be resolved again.
  wanted="$1 $(cksum < "$root/pyproject.toml") $("$venv/bin/python" --version)"
  if [ "$(cat "$venv/.archcast" 2>/dev/null)" != "$wanted" ]; then
    echo "installing archcast$1 into $venv ..." >&2
    # Tests and benchmarks compare with networks in PyTorch: at a known version, unless there is one already.
    [ -z "$1" ] || "$venv/bin/python" -c 'import torch' 2>/dev/null ||
      "$venv/bin/python" -m pip install -q "torch==2.13.0"
    "$venv/bin/python" -m pip install -q -e "$root$1"
    echo "$wanted" > "$venv/.archcast"
  fi
}
