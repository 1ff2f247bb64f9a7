"""Learning-rate schedules: pure functions from a step to a factor of the learning rate.

They need no framework. :func:`tunewell.torch.scheduler` makes a PyTorch scheduler of one; :func:`space` makes them part
of a search space and :func:`from_params` builds the one that a trial was given.

Not to be confused with ``study.schedule()``, which says which values a trial of a population lived through.
"""

from tunewell.lr_schedules.plateau import Plateau as Plateau
from tunewell.lr_schedules.shapes import Constant as Constant
from tunewell.lr_schedules.shapes import Cosine as Cosine
from tunewell.lr_schedules.shapes import CosineRestarts as CosineRestarts
from tunewell.lr_schedules.shapes import Exponential as Exponential
from tunewell.lr_schedules.shapes import InverseSquareRoot as InverseSquareRoot
from tunewell.lr_schedules.shapes import Linear as Linear
from tunewell.lr_schedules.shapes import LrSchedule as LrSchedule
from tunewell.lr_schedules.shapes import OneCycle as OneCycle
from tunewell.lr_schedules.shapes import Polynomial as Polynomial
from tunewell.lr_schedules.shapes import Step as Step
from tunewell.lr_schedules.shapes import WarmupStableDecay as WarmupStableDecay
from tunewell.lr_schedules.tuning import NAMES as NAMES
from tunewell.lr_schedules.tuning import from_params as from_params
from tunewell.lr_schedules.tuning import space as space
