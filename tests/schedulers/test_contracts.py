"""What every scheduler keeps to, for each of ours."""

from __future__ import annotations

import pytest

import tunewell as tw
from tunewell.testing.schedulers import SchedulerContract

SCHEDULERS = [
    tw.schedulers.Asha(promote=False),
    tw.schedulers.SuccessiveHalving(max_steps=27),
    tw.schedulers.SuccessiveHalving(reduction=2, min_steps=2, max_steps=27, configurations=11),
    tw.schedulers.Hyperband(max_steps=27),
    tw.schedulers.Hyperband(reduction=4, min_steps=2, max_steps=27, table="floor"),
    tw.schedulers.AsyncHyperband(),
    tw.schedulers.AsyncHyperband(reduction=2, max_steps=20),
    tw.schedulers.BOHB(max_steps=27),
    tw.schedulers.BOHB(reduction=4, model="gp", random=0.0),
    tw.schedulers.PriorBand(max_steps=27),
    tw.schedulers.PriorBand(reduction=2, min_steps=3, table="floor", mutation=0.2),
    tw.schedulers.Worthwhile(min_trials=24),
    tw.schedulers.Worthwhile(gain=0.1, min_trials=20, then=tw.schedulers.Hyperband(max_steps=27)),
    tw.schedulers.FreezeThaw(),
    tw.schedulers.FreezeThaw(max_steps=27, explore=0.5, initial=2),
    tw.schedulers.Median(),
    tw.schedulers.TopK(trials=40),
    tw.schedulers.Patience(),
    tw.schedulers.Patience(steps=3, min_gain=0.02, relative=True, then=tw.schedulers.Hyperband(max_steps=27)),
]


class TestSchedulers(SchedulerContract):
    @pytest.fixture(params=SCHEDULERS, ids=repr)
    def scheduler(self, request):
        return request.param
