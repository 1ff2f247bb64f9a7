"""Who looks after a trial, and whether that process still lives.

A driver's identity names its host, the boot of that host, its process and the moment the process began, so that a
process number used again by another program is not mistaken for it. The host comes with what it numbers processes in:
two containers may have one host name, and process 7 of one is not process 7 of the other.
"""

from __future__ import annotations

import itertools
import os
import platform
from pathlib import Path

_COUNT = itertools.count(1)


def new_identity() -> str:
    """Return an identity for one more driver of this process."""
    pid = os.getpid()
    return "/".join([_host(), _boot(), str(pid), _birth(pid), str(next(_COUNT))])


def is_gone(identity: str) -> bool:
    """Return whether the driver is surely gone: its process is no more.

    Of a driver on another host, or in another container, nothing is sure; :mod:`tunewell.heartbeat` listens for its
    beats.
    """
    try:
        host, boot, pid, birth, _ = identity.rsplit("/", 4)
    except ValueError:
        return False
    if (host, boot) != (_host(), _boot()):
        return False
    return not _lives(int(pid)) or _birth(int(pid)) != birth


def is_near(identity: str) -> bool:
    """Return whether the driver's host is called as ours: likely ours before it, or a container, was started anew.

    It may as well be another machine, or a container, of the same name. Not so a driver of this very one, whose process
    can be looked at.
    """
    host, _, boot = "/".join(identity.rsplit("/", 4)[:2]).rpartition("/")
    return host.partition(":")[0] == platform.node() and (host, boot) != (_host(), _boot())


def _host() -> str:
    """Return the name of this host, with the number of the namespace of its processes where there are such."""
    try:
        return f"{platform.node()}:{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return platform.node()


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "boot"


def _birth(pid: int) -> str:
    """Return the start time of a process in clock ticks since boot, or an empty string where it cannot be known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
