"""``python -m tunewell``: the command line where no ``tunewell`` is on the path."""

from __future__ import annotations

from tunewell.cli import main

main()
