"""Populations of real trainings with real checkpoints, and schedules: exported, loaded, trained again."""

from __future__ import annotations

import json
import math

import pytest
from typer.testing import CliRunner

import tunewell as tw
from tunewell.cli import app
from tunewell.events import Status, TrialStarted
from tunewell.executors import Simulated
from tunewell.history import History
from tunewell.replay import replay
from tunewell.schedulers.replay import Replay
from tunewell.schedules import Change, Schedule, lineage
from tunewell.testing.schedulers import SchedulerContract

SPACE = tw.Space(rate=tw.Float(0.01, 1.0, scale="log"), width=tw.Int(1, 4))
SCHEDULE = [
    {"after": 0, "params": {"rate": 0.5, "width": 2}},
    {"after": 4, "params": {"rate": 0.1, "width": 2}},
    {"after": 9, "params": {"rate": 0.02, "width": 2}},
]


def descend(trial):
    """Go down a bowl; the checkpoint holds the place and every rate that led there."""
    state = {"x": 1.0 + trial.seed % 7, "rates": [], "width": trial.params["width"]}
    if trial.checkpoint:
        state = json.loads((trial.checkpoint / "state.json").read_text())
        if state["width"] != trial.params["width"]:
            raise RuntimeError("size mismatch: the weights do not fit")
    for step in trial.steps():
        assert step == len(state["rates"]) + 1, "the checkpoint is not that of the step before"
        state["x"] -= trial.params["rate"] * (state["x"] - 0.01 * step)
        state["rates"].append(trial.params["rate"])
        trial.report(loss=state["x"] ** 2, step_of_checkpoint=len(state["rates"]))
        trial.save(lambda folder: (folder / "state.json").write_text(json.dumps(state)))


def lived(trial):
    return json.loads((trial.checkpoint / "state.json").read_text())["rates"]


class TestReplayContract(SchedulerContract):
    @pytest.fixture
    def scheduler(self):
        from tunewell.testing.histories import mixed_space

        default = mixed_space().default()
        other = {**default, "learning_rate": 0.01}
        return Replay([{"after": 0, "params": default}, {"after": 5, "params": other}], repeats=3)


@pytest.mark.parametrize(("executor", "workers"), [("inline", 1), ("processes", 3)])
@pytest.mark.parametrize("name", ["PBT", "MFPBT", "IPBT"])
def test_forks_go_on_from_the_very_weights_of_their_donors(executor, workers, name, tmp_path):
    options = {"factors": (1, 2)} if name == "MFPBT" else {"patience": 1} if name == "IPBT" else {}
    scheduler = getattr(tw.schedulers, name)(population=8, interval=2, fixed=("width",), **options)
    study = tw.Study(SPACE, "loss", sampler="random", scheduler=scheduler, seed=3, storage=tmp_path / "s.db")
    study.run(descend, steps=8 * 8, max_steps=8, workers=workers, executor=executor, progress=False)
    done = [trial for trial in study.trials if trial.status == "completed"]
    assert len(done) == 8
    assert not study.history.counts[Status.FAILED]
    assert any(trial.fork for trial in done)
    for trial in done:
        schedule = study.schedule(trial.number)
        assert lived(trial) == [schedule.at(step)["rate"] for step in range(1, 9)]
        assert len(lineage(study.history, trial.number)) >= len(schedule.changes)
    assert replay(study.events).ok
    left = [path for trial in study.trials if trial.status == "stopped" for path in trial.directory.glob("step-*")]
    needed = [study.history.needed_checkpoints(trial.number) for trial in study.trials if trial.status == "stopped"]
    assert not any(needed)
    assert not left, "stopped members leave no checkpoints behind"


def test_a_donor_that_has_gone_on_keeps_the_checkpoint_that_may_be_forked(tmp_path):
    """One worker: donors train ahead, to the next rung, before the last member has come to theirs."""
    study = tw.Study(
        SPACE, "loss", sampler="random", scheduler=tw.schedulers.PBT(6, 3, fixed=("width",)), seed=1, directory=tmp_path
    )
    ahead = []

    def watch(history, events):
        for event in events:
            if isinstance(event, TrialStarted) and event.fork is not None:
                donor = history.trials[event.fork.trial]
                assert (tmp_path / f"trials/{donor.number}/step-{event.fork.step}/state.json").is_file()
                ahead.append(donor.step - event.fork.step)

    study.run(descend, steps=6 * 15, max_steps=15, executor="inline", progress=watch)
    assert study.history.counts[Status.COMPLETED] == 6
    assert max(ahead) == 3
    for trial in study.trials:
        assert len(list(trial.directory.glob("step-*"))) <= 2


def test_weights_that_do_not_fit_are_explained():
    study = tw.Study(SPACE, "loss", sampler="random", scheduler=tw.schedulers.PBT(8, 2), seed=0)
    with pytest.raises(ValueError, match=r"size mismatch.*name it, e\.g\. fixed=\(") as caught:
        study.run(descend, steps=64, max_steps=8, executor="inline", progress=False)
    assert str(caught.value).endswith('fixed=("width",)'), "the rate never shapes a network"


def test_a_study_goes_on_once_what_shapes_the_network_is_fixed(tmp_path):
    def study(*fixed):
        scheduler = tw.schedulers.PBT(8, 2, fixed=fixed)
        return tw.Study(SPACE, "loss", sampler="random", scheduler=scheduler, seed=0, storage=tmp_path / "s.db")

    for fixed in ((), ("rate",)):
        with pytest.raises(ValueError, match=r"size mismatch.*fixed=\(\"width\",\)"):
            study(*fixed).run(descend, steps=64, max_steps=8, executor="inline", progress=False)
    mended = study("width")
    mended.run(descend, steps=64, max_steps=8, executor="inline", progress=False)
    assert mended.history.counts[Status.COMPLETED] == 8
    assert replay(mended.events).ok


def test_a_run_cut_off_in_the_middle_goes_on_with_its_checkpoints(tmp_path):
    study = tw.Study(
        SPACE, "loss", sampler="random", scheduler=tw.schedulers.PBT(4, 2, fixed=("width",)), seed=1,
        storage=tmp_path / "s.db",
    )  # fmt: skip
    for steps in (5, 17, 30, 48):
        study.run(descend, steps=steps, max_steps=12, workers=2, progress=False)
        assert study.history.steps_done == steps
    assert study.history.counts[Status.COMPLETED] == 4
    assert replay(study.events).ok


# --- schedules --------------------------------------------------------------------------------------------------------


def test_a_schedule_is_saved_loaded_and_trained_again(tmp_path):
    study = tw.Study(SPACE, "loss", sampler="random", scheduler=tw.schedulers.PBT(8, 2, fixed=("width",)), seed=3)
    study.run(descend, steps=8 * 12, max_steps=12, executor="inline", progress=False)
    winner = max(
        (t for t in study.trials if t.status == "completed"), key=lambda t: len(lineage(study.history, t.number))
    )
    schedule = study.schedule(winner.number)
    assert len(schedule.changes) >= 3
    path = schedule.save(tmp_path / "schedule.json")
    assert Schedule.load(path) == schedule
    anew = tw.Study(SPACE, "loss", scheduler=Replay(path, repeats=2), seed=9)
    reason = anew.run(descend, steps=2 * 12, max_steps=12, executor="inline", progress=False)
    assert anew.history.steps_done == 24
    done = [trial for trial in anew.trials if trial.status == "completed"]
    assert len(done) == 2, reason
    for trial in done:
        assert lived(trial) == lived(winner)
        assert anew.schedule(trial.number).changes == schedule.changes
    assert done[0].value != done[1].value  # other seeds
    assert replay(anew.events).ok


@pytest.mark.parametrize("workers", [1, 4])
def test_replay_on_simulated_workers_with_faults(workers):
    study = tw.Study(SPACE, "loss", scheduler=Replay(SCHEDULE, repeats=4), seed=0)
    cluster = Simulated(lambda params, step: (params["rate"] / step, 1.0), workers, faults=0.05, seed=2)
    study.run(max_steps=20, steps=80, executor=cluster, progress=False)
    assert study.history.counts[Status.COMPLETED] == 4
    assert {trial.fork.step for trial in study.trials if trial.fork} == {4, 9}
    for trial in study.trials:
        if trial.status == "completed":
            assert [change.after for change in study.schedule(trial.number).changes] == [0, 4, 9]
    assert replay(study.events).ok


def test_a_replay_that_did_not_come_to_its_end_does_not_say_so():
    def diverges(params, step):
        return (math.nan if step == 3 else params["rate"]), 1.0

    def reason(objective, steps):
        study = tw.Study(SPACE, "loss", scheduler=Replay(SCHEDULE, repeats=2), seed=0)
        return study.run(max_steps=steps, steps=100, executor=Simulated(objective), progress=False)

    assert reason(diverges, 12).startswith(
        "0 of 2 repeats came to the end of the schedule; trial 1 diverged at step 3: "
    )
    short = reason(lambda params, step: (params["rate"], 1.0), 8)
    assert short == "0 of 2 repeats came to the end of the schedule; trial 3 completed at step 8"
    assert reason(lambda params, step: (params["rate"], 1.0), 12) == "the schedule has been trained"


def test_a_replay_begins_with_its_schedule_even_where_there_are_defaults():
    space = tw.Space(rate=tw.Float(0.01, 1.0, scale="log", default=0.3), width=tw.Int(1, 4))
    study = tw.Study(space, "loss", scheduler=Replay(SCHEDULE), seed=0)
    study.enqueue({"rate": 0.9, "width": 1})
    study.run(max_steps=12, steps=24, executor=Simulated(lambda p, s: (p["rate"], 1.0)), progress=False)
    assert study.trials[0].origin == "enqueued"
    assert study.trials[0].group == ""
    assert [dict(trial.params)["rate"] for trial in study.trials[1:]] == [0.5, 0.1, 0.02]


def test_a_replayed_study_is_described_by_plain_data(tmp_path):
    tw.Study(SPACE, "loss", scheduler=Replay(SCHEDULE), seed=0, storage=tmp_path / "s.db").close()
    study = tw.open(tmp_path / "s.db")
    study.run(max_steps=12, steps=12, executor=Simulated(lambda p, s: (p["rate"], 1.0)), progress=False)
    assert study.best.params["rate"] == 0.02


def test_values_by_step():
    schedule = Schedule((Change(0, {"x": 1}), Change(4, {"x": 2}), Change(9, {"x": 3})), 12)
    assert [schedule.at(step)["x"] for step in (1, 4, 5, 9, 10, 100)] == [1, 1, 2, 2, 3, 3]


def test_adjusted_values_are_part_of_a_schedule():
    from tunewell.events import Adjusted, Reported
    from tunewell.testing.histories import created

    history = History([created(SPACE), TrialStarted(0.0, 0, {"rate": 0.5, "width": 1}, 0, driver="d")])
    history.apply(Reported(1.0, 0, 5, {"loss": 1.0}))
    history.apply(Adjusted(1.0, 0, 3, {"rate": 0.1}, "person"))
    history.apply(TrialStarted(2.0, 1, {"rate": 0.2, "width": 1}, 1, fork=tw.events.Fork(0, 5), driver="d"))
    from tunewell.schedules import schedule_of

    changes = schedule_of(history, 1).changes
    assert [(change.after, change.params["rate"]) for change in changes] == [(0, 0.5), (3, 0.1), (5, 0.2)]


@pytest.mark.parametrize(
    "data", [[], [{"after": 3, "params": {}}], [{"after": 0, "params": {}}, {"after": 0, "params": {}}], {"a": 1}, 7]
)
def test_what_is_no_schedule_is_refused(data):
    with pytest.raises(ValueError, match="(?i)schedule"):
        Replay(data)


def test_files_that_are_no_schedules_are_refused(tmp_path):
    for text in ("{}", "nonsense", json.dumps({"version": 2, "steps": 1, "source": "", "changes": []})):
        (tmp_path / "s.json").write_text(text)
        with pytest.raises(ValueError, match="schedule"):
            Schedule.load(tmp_path / "s.json")
    with pytest.raises(FileNotFoundError):
        Replay(tmp_path / "none.json")


def test_the_command_writes_the_schedule_of_the_best_trial(tmp_path):
    place = tmp_path / "s.db"
    study = tw.Study(
        SPACE, "loss", sampler="random", scheduler=tw.schedulers.PBT(4, 2, fixed=("width",)), seed=1, storage=place
    )
    study.run(descend, steps=32, max_steps=8, executor="inline", progress=False)
    study.close()
    run = CliRunner().invoke
    output = tmp_path / "schedule.json"
    assert run(app, ["schedule", "-s", str(place), "--output", str(output)]).exit_code == 0
    assert Schedule.load(output) == study.schedule()
    printed = run(app, ["schedule", "study", "0", "-s", str(place)])
    assert Schedule.from_json(printed.stdout) == study.schedule(0)
    wrong = run(app, ["schedule", "study", "99", "-s", str(place)])
    assert wrong.exit_code == 2
    assert "has no trial 99" in wrong.output
