"""The user's ``__main__`` once more, for processes that a trial starts afresh: a pool's, a data loader's.

``multiprocessing`` has such a process run the parent's main module, and then looks there for the classes and functions
that were sent by name. The main module of a worker is no script that could be run, so the worker names this one in its
place: it holds what the objective refers to of the script, as the worker's own ``__main__`` does.
"""

import os

import cloudpickle

from tunewell.executors.channel import SETUP, read_setup
from tunewell.executors.worker import main_names

if __name__ == "__mp_main__" and SETUP in os.environ:
    _file = os.open(os.environ[SETUP], os.O_RDONLY)
    _objective = cloudpickle.loads(read_setup(_file).objective)
    os.close(_file)
    globals().update(main_names(_objective))
