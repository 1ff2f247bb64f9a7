"""A real tabular task: a perceptron on measurements of tumours, from `tunewell init` to the report.

python examples/tabular.py [SCALE] [SEEDS]

Writes study.py, tunewell.db and report.html into the current folder. SCALE 0.2 makes it short, 1 is the usual length.
"""

import sys

from everyday_path import walk

if __name__ == "__main__":
    scale = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    walk("tabular", "sklearn", scale, seeds)
