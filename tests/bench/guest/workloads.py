# SPDX-License-Identifier: Apache-2.0
"""The loads that the benchmark puts on each disk, by name."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Workload:
    rw: str                     # as fio names it
    block_size: str             # likewise
    depth: int                  # requests in flight for each LUN
    fabric: str = "loopback"    # or iscsi; a peer that is no target at all counts as loopback
    luns: int = 1

    @property
    def name(self):
        rw = {"randrw": "randrw70"}.get(self.rw, self.rw)
        fabric = "" if self.fabric == "loopback" else self.fabric + "-"
        luns = "" if self.luns == 1 else f"{self.luns}luns-"
        return f"{fabric}{luns}{rw}-{self.block_size}-d{self.depth}"


RANDOM = [Workload(rw, "4k", depth) for depth in (1, 32, 128) for rw in ("randread", "randwrite")]
MIXED = [Workload("randrw", "4k", 32)]
SEQUENTIAL = [Workload(rw, size, depth) for size, depth in (("128k", 8), ("1m", 4)) for rw in ("read", "write")]
ISCSI = [Workload(rw, "4k", depth, "iscsi") for depth in (1, 32) for rw in ("randread", "randwrite")] + [
    Workload("read", "128k", 8, "iscsi"), Workload("write", "128k", 8, "iscsi")]
SEVERAL_LUNS = [Workload("randread", "4k", 8, luns=luns) for luns in (4, 16)] + [
    Workload("randwrite", "4k", 8, luns=16), Workload("randread", "4k", 8, "iscsi", 4)]

ALL = RANDOM + MIXED + SEQUENTIAL + ISCSI + SEVERAL_LUNS
QUICK = ["randread-4k-d1", "randwrite-4k-d1", "randread-4k-d32", "randwrite-4k-d32", "read-128k-d8"]
