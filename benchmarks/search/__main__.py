"""``python -m benchmarks.search``: see :mod:`benchmarks.search.run`."""

import sys

from benchmarks.search.run import main

if __name__ == "__main__":
    sys.exit(main())
