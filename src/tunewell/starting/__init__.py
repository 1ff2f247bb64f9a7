"""A study file to start from: what to tune, on which scale and in which range, an objective that runs, and the plan.

``tunewell init`` writes it from five answers, or from what a training script says; every line is explained where it
stands. The pieces it is made of are Python files in :mod:`tunewell.starting` ``/pieces``.
"""

from __future__ import annotations

from tunewell.starting.answers import FRAMEWORKS as FRAMEWORKS
from tunewell.starting.answers import TASKS as TASKS
from tunewell.starting.answers import Answers as Answers
from tunewell.starting.reading import Script as Script
from tunewell.starting.reading import read_script as read_script
from tunewell.starting.wrapping import write_for_script as write_for_script
from tunewell.starting.writing import write_study as write_study
