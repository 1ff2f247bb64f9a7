"""``python -m benchmarks.tiered``."""

from __future__ import annotations

from benchmarks.tiered.run import main

if __name__ == "__main__":
    main()
