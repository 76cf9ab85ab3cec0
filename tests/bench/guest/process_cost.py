# SPDX-License-Identifier: Apache-2.0
"""What a process has used: processor time, context switches, memory; and how many system calls it makes."""
import dataclasses
import os
import pathlib

TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
TRACING = pathlib.Path("/sys/kernel/tracing")


@dataclasses.dataclass(frozen=True)
class Cost:
    user_ms: float = 0
    system_ms: float = 0
    voluntary_switches: int = 0
    involuntary_switches: int = 0

    def __sub__(self, other):
        return Cost(*(a - b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other))))


def threads(pid):
    return [int(tid) for tid in os.listdir(f"/proc/{pid}/task")]


def cost(pid):
    """So far. Times are of all threads, those that have ended too; switches of those that live."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    voluntary = involuntary = 0
    for tid in threads(pid):
        try:
            status = pathlib.Path(f"/proc/{pid}/task/{tid}/status").read_text()
        except OSError:     # it ended meanwhile
            continue
        for line in status.splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                voluntary += int(line.split()[1])
            elif line.startswith("nonvoluntary_ctxt_switches"):
                involuntary += int(line.split()[1])
    return Cost(int(fields[11]) * TICK_MS, int(fields[12]) * TICK_MS, voluntary, involuntary)


def memory_kib(pid):
    """Resident, and of that what is not mapped from a file or shared: a ring mapped from the kernel is in the first only."""
    sizes = {}
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key in ("VmRSS", "RssAnon"):
            sizes[key] = int(value.split()[0])
    return {"resident_kib": sizes["VmRSS"], "anonymous_kib": sizes["RssAnon"], "threads": len(threads(pid))}


class SystemCalls:
    """Counts the system calls of processes by the kernel's tracepoint, which slows them: not to be used while time is taken."""

    def __init__(self):
        if not (TRACING / "instances").is_dir():
            os.system("mount -t tracefs tracefs /sys/kernel/tracing")
        self.instance = TRACING / "instances" / "bench"
        self.instance.mkdir(exist_ok=True)
        self._write("buffer_size_kb", 64)
        self._write("options/event-fork", 1)
        self.event = self.instance / "events/raw_syscalls/sys_enter/enable"

    def _write(self, name, value):
        (self.instance / name).write_text(str(value))

    def begin(self, pid):
        self._write("set_event_pid", " ".join(map(str, threads(pid))))
        self._write("trace", "")
        self.event.write_text("1")

    def end(self):
        self.event.write_text("0")
        total = 0
        for cpu in (self.instance / "per_cpu").iterdir():
            for line in (cpu / "stats").read_text().splitlines():
                key, _, value = line.partition(":")
                if key in ("entries", "overrun"):
                    total += int(value)
        return total
