"""What this machine lends to a process: cores, GPUs, memory. Counted without waking a GPU."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

Gpus: TypeAlias = Literal["auto"] | int | Sequence[str | int] | None

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
DEVICE_VARIABLES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
NO_DEVICES = {
    "CUDA_VISIBLE_DEVICES": "",
    "HIP_VISIBLE_DEVICES": "",
    "ROCR_VISIBLE_DEVICES": "",
    # Let PyTorch count GPUs without the CUDA runtime, which no process can take through a fork.
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
}

_CGROUPS = Path("/sys/fs/cgroup")
_GPU_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


def cores() -> int:
    """Return the number of cores this process may use: its affinity, or its cgroup's quota where that is less."""
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        usable = os.cpu_count() or 1
    return max(1, min([usable, *map(int, _cpu_quotas())]))


def gpu_possible() -> bool:
    """Return whether a GPU driver is loaded, so that a process that hides nothing might find a GPU."""
    return any(Path(file).exists() for file in _GPU_FILES)


def find_gpus() -> tuple[str, ...]:
    """Return the GPUs this process may use, as CUDA_VISIBLE_DEVICES would name them."""
    for variable in DEVICE_VARIABLES:
        if variable in os.environ:
            names = [name.strip() for name in os.environ[variable].split(",")]
            return tuple(name for name in names if name and name != "-1")
    return listed_gpus(_gpu_listing())


def gpu_names() -> tuple[str, ...]:
    """Return the names of the GPUs this process may use, such as ``"NVIDIA A100-SXM4-40GB"``."""
    return names_in(_gpu_listing(), find_gpus())


def _gpu_listing() -> str:
    """Return what ``nvidia-smi -L`` says, nothing where there is none."""
    if shutil.which("nvidia-smi") is None:
        return ""
    try:
        return subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def names_in(listing: str, devices: Sequence[str]) -> tuple[str, ...]:
    """Return the names that the output of ``nvidia-smi -L`` gives to devices: numbers, or UUIDs of GPUs or slices."""
    names: dict[str, str] = {}
    whole = ""
    for line in listing.splitlines():
        before, _, uuid = line.partition("UUID: ")
        if line.startswith("GPU "):
            number, _, rest = before.removeprefix("GPU ").partition(":")
            names[number] = whole = rest.strip(" (")
        names[uuid.rstrip(") ")] = whole if line.startswith("GPU ") else f"{whole} {' '.join(before.split()[:2])}"
    return tuple(names[device] for device in devices if device in names)


def listed_gpus(listing: str) -> tuple[str, ...]:
    """Return the devices in the output of ``nvidia-smi -L``: each slice of a GPU that is cut up, else its number."""
    devices: list[str] = []
    whole = ""
    for line in listing.splitlines():
        if line.startswith("GPU "):
            whole = line.removeprefix("GPU ").partition(":")[0]
            devices.append(whole)
        elif line.lstrip().startswith("MIG ") and "UUID: " in line:
            if devices and devices[-1] == whole:
                devices.pop()
            devices.append(line.partition("UUID: ")[2].rstrip(") "))
    return tuple(devices)


def checked_gpus(gpus: Any) -> Literal["auto"] | int | tuple[str, ...]:
    """Return a user's wish for GPUs in one of three forms.

    Raises:
        ValueError: it is no such wish.
    """
    if gpus is None:
        return ()
    if gpus == "auto" or (isinstance(gpus, int) and not isinstance(gpus, bool) and gpus >= 0):
        return gpus  # type: ignore[no-any-return]
    if isinstance(gpus, list | tuple) and all(isinstance(name, str | int) and str(name).strip() for name in gpus):
        return tuple(str(name) for name in gpus)
    raise ValueError(f'expected gpus="auto", a number or a list such as ["0", "3"], got {gpus!r}: use [] for none')


def chosen_gpus(wanted: Literal["auto"] | int | tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the devices to share out; None when nobody asked and none was found, so that nothing is hidden either.

    Raises:
        ValueError: fewer are there than are wanted.
    """
    if isinstance(wanted, tuple):
        return wanted
    found = find_gpus()
    if wanted == "auto":
        return found or None
    if len(found) < wanted:
        raise ValueError(
            f'expected {wanted} GPUs, found {len(found)}: name them, as in gpus=["0", "1"], or ask for fewer'
        )
    return found[:wanted]


def oom_kills() -> int:
    """Return how many processes of this cgroup the kernel has killed for want of memory; 0 where it keeps no count."""
    files = [
        *(folder / "memory.events" for folder in _groups("")),
        *(folder / "memory.oom_control" for folder in _groups("memory")),
    ]
    for file in files:
        for line in _lines(file):
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def _cpu_quotas() -> Iterator[float]:
    """Yield every limit on CPU time above this process, in cores."""
    for folder in _groups(""):
        for line in _lines(folder / "cpu.max"):
            quota, period = line.split()
            if quota != "max":
                yield int(quota) / int(period)
    for folder in _groups("cpu"):
        limits = [*_lines(folder / "cpu.cfs_quota_us"), *_lines(folder / "cpu.cfs_period_us")]
        if len(limits) == 2 and int(limits[0]) > 0:
            yield int(limits[0]) / int(limits[1])


def _groups(controller: str) -> Iterator[Path]:
    """Yield this process's cgroup folder and those above it; ``controller=""`` means the unified hierarchy (v2)."""
    for line in _lines(Path("/proc/self/cgroup")):
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            root = _CGROUPS / controller
            group = Path(path.lstrip("/"))
            yield from (root / folder for folder in (group, *group.parents))
            return


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
