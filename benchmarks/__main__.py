"""All benchmarks of cost, one after another: ``python -m benchmarks [--quick]``.

What is found, and not what it costs, is measured by ``python -m benchmarks.search``: with all peers that takes hours.
"""

from __future__ import annotations

import subprocess
import sys

NAMES = ("imports", "storage", "driver", "executors", "search.cost")


def main() -> int:
    """Run each benchmark with the options given; return 1 if one failed."""
    without_peers = [option for option in sys.argv[1:] if option != "--without-peers"]
    failed = 0
    for name in NAMES:
        options = without_peers if name == "driver" else sys.argv[1:]
        failed |= subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], check=False).returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
