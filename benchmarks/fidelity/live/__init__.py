"""Wall time to a target test accuracy: every tool trains real networks on two cores, in its own habitual way."""
