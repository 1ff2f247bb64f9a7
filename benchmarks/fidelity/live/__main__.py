"""``python -m benchmarks.fidelity.live``: see :mod:`benchmarks.fidelity.live.run`."""

import sys

from benchmarks.fidelity.live.run import main

if __name__ == "__main__":
    sys.exit(main())
