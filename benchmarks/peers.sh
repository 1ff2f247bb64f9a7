#!/bin/sh
# Makes the libraries the benchmarks compare with, apart from Tunewell's own environment, in the versions that the
# committed results were measured with: .venv-peers for the benchmarks of cost, which is all without arguments, and
# environments of their own for more methods in benchmarks.search and benchmarks.fidelity:
# benchmarks/peers.sh main nevergrad ax smac hebo dehb synetune neps
set -eu
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "expected Python 3.11 or newer, got $("$python" --version): say which, PYTHON=python3.12 benchmarks/peers.sh" >&2
    exit 1
}

# The environment's name, then packages; torch comes first and alone, so that a CPU build at hand is taken.
make_environment() {
    folder="$1"
    shift
    [ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
    case " $* " in *" torch=="*)
        "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "torch==2.13.0" ;;
    esac
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}

for which in ${*:-main}; do
    echo "making the environment: $which"
    case "$which" in
    main) # Optuna, Ray Tune, hyperopt; PyTorch for Optuna's Gaussian process, Matplotlib for the charts
        make_environment .venv-peers "torch==2.13.0" "optuna==5.0.0" "SQLAlchemy==2.1.9" "ray[tune]==2.60.0" \
            "cmaes==0.13.1" "scipy==1.17.1" "hyperopt==0.3.0" "matplotlib==3.11.2" ;;
    nevergrad) # its metamodel fails with NumPy 2.4
        make_environment .venv-peers-nevergrad "numpy==2.3.5" "nevergrad==1.0.12" ;;
    ax) # with BoTorch
        make_environment .venv-peers-ax "torch==2.13.0" "ax-platform==1.3.1" "botorch==0.18.1" ;;
    smac)
        make_environment .venv-peers-smac "smac==2.4.1" ;;
    dehb)
        make_environment .venv-peers-dehb "dehb==0.1.2" "ConfigSpace==1.2.2" ;;
    synetune)
        make_environment .venv-peers-synetune "syne-tune==0.16.0" ;;
    neps)
        make_environment .venv-peers-neps "torch==2.13.0" "neural-pipeline-search==0.17.0" ;;
    range) # for benchmarks.range_test, which runs under this Python
        make_environment .venv-peers-range "torch==2.13.0" "numpy==2.4.6" "lightning==2.6.6" "torch-lr-finder==0.2.2" \
            "matplotlib==3.11.2" ;;
    hebo) # asks for pymoo 0.6.0, which has no wheel for this Python; 0.6.1 does
        make_environment .venv-peers-hebo "torch==2.13.0" "numpy==1.24.4" "scipy==1.11.4" "scikit-learn==1.3.2" \
            "pandas==2.0.3" "pymoo==0.6.1" "gpytorch==1.11" "GPy==1.13.2" "catboost==1.2.8" \
            "matplotlib==3.8.4" "disjoint-set==0.9.0"
        .venv-peers-hebo/bin/python -m pip install --quiet --disable-pip-version-check --no-deps "hebo==0.3.6" ;;
    *)
        echo "expected main, nevergrad, ax, smac, hebo, dehb, synetune, neps or range, got $which" >&2
        exit 1 ;;
    esac
done
