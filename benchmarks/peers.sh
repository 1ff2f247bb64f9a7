#!/bin/sh
# Makes .venv-peers in the repository root: the libraries the benchmarks compare with, apart from Tunewell's own
# environment, in the versions that the committed results were measured with.
set -eu
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "expected Python 3.11 or newer, got $("$python" --version): say which, PYTHON=python3.12 benchmarks/peers.sh" >&2
    exit 1
}
"$python" -m venv .venv-peers
.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check \
    "optuna==5.0.0" "SQLAlchemy==2.1.9" "ray[tune]==2.60.0"
.venv-peers/bin/python -c 'import optuna, ray; print("optuna", optuna.__version__, "ray", ray.__version__)'
