"""Auditing a PyTorch model and its training: findings with a code, a message and a fix, and applying the safe ones.

Evidence first, rules second: a watch records facts from hooks, measurements compare statistics, and each rule is a
small function of the :class:`~tunewell.torch.auditing.evidence.Evidence`.
"""

from tunewell.torch.auditing.fixing import fix as fix
from tunewell.torch.auditing.inspection import audit as audit
from tunewell.torch.auditing.inspection import watching as watching
from tunewell.torch.auditing.statistics import recalibrate as recalibrate
