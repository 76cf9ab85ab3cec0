# SPDX-License-Identifier: Apache-2.0
"""What lunkit wants to reach against its peers, and whether it does."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Goal:
    workloads: tuple
    ours: str
    peer: str       # "": an absolute figure
    figure: str
    at_least: float = 0
    at_most: float = float("inf")

    def value(self, results, workload):
        if self.peer:
            return results.ratio(workload, self.ours, self.peer, self.figure)
        return results.median(workload, self.ours, self.figure)

    def wanted(self):
        return f">= {self.at_least}" if self.at_least else f"<= {self.at_most}"

    def met(self, value):
        return self.at_least <= value <= self.at_most


DEPTH_1 = ("randread-4k-d1", "randwrite-4k-d1")
DEEP = tuple(f"{rw}-4k-d{depth}" for depth in (32, 128) for rw in ("randread", "randwrite"))
SEQUENTIAL = ("read-128k-d8", "write-128k-d8", "read-1m-d4", "write-1m-d4")
SIXTEEN = ("16luns-randread-4k-d8", "16luns-randwrite-4k-d8")


def of_handler(ours, in_kernel):
    return [
        Goal(DEPTH_1, ours, "tcmu-runner", "iops", at_least=2.5),
        Goal(DEPTH_1, ours, in_kernel, "iops", at_least=0.7),
        Goal(DEPTH_1, ours, "tcmu-runner", "cpu_ms_per_1000", at_most=1),
        Goal(DEEP, ours, "tcmu-runner", "iops", at_least=1),
        Goal(DEEP, ours, in_kernel, "iops", at_least=0.95),
        Goal(DEEP, ours, "tcmu-runner", "user_ms_per_1000", at_most=0.4),
        Goal(DEEP, ours, "tcmu-runner", "cpu_ms_per_1000", at_most=0.9),
        Goal(SEQUENTIAL, ours, "tcmu-runner", "iops", at_least=1.3),
        Goal(SIXTEEN, ours, "", "fairness", at_least=0.8),
    ]


GOALS = of_handler("file", "fileio") + of_handler("ram", "ramdisk") + [
    Goal(DEEP, "file", "", "system_calls", at_most=1.3),
    Goal(DEEP, "ram", "", "system_calls", at_most=0.2),
    Goal(SEQUENTIAL, "direct-disk", "disk", "cpu_ms_per_mib", at_most=0.5),
]


def judged(results):
    """(goal, workload, value) of all that was measured."""
    for goal in GOALS:
        for workload in goal.workloads:
            value = goal.value(results, workload)
            if value is not None:
                yield goal, workload, value
