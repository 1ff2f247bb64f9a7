from __future__ import annotations

import os

from tunewell.executors import machine


def test_gpus_and_their_slices_are_read_from_nvidia_smi(tmp_path, monkeypatch):
    for variable in machine.DEVICE_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    program = tmp_path / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\n"
        "echo 'GPU 0: NVIDIA A100 (UUID: GPU-11)'\n"
        "echo '  MIG 3g.20gb Device 0: (UUID: MIG-aa)'\n"
        "echo '  MIG 3g.20gb Device 1: (UUID: MIG-bb)'\n"
        "echo 'GPU 1: NVIDIA A100 (UUID: GPU-22)'\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert machine.find_gpus() == ("MIG-aa", "MIG-bb", "1")
    program.write_text("#!/bin/sh\nexit 9\n")
    assert machine.find_gpus() == ()


def test_a_container_quota_counts_as_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_groups", lambda controller: [tmp_path] if controller == "" else [])
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    assert machine.cores() == 8
    for limit, count in (("max 100000", 8), ("350000 100000", 3), ("50000 100000", 1), ("9900000 100000", 8)):
        (tmp_path / "cpu.max").write_text(limit + "\n")
        assert machine.cores() == count
    assert machine.oom_kills() == 0
    (tmp_path / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    assert machine.oom_kills() == 2
