# SPDX-License-Identifier: Apache-2.0
"""What is measured: for each backend its disks, and the process that serves them.

All of them are there from the beginning to the end of a run, so that measurements can take turns. LUNs are made by configfs:
targetcli makes the same entries, in seconds each. lunkitd and tcmu-runner both listen to the kernel's events, and tcmu-runner
refuses what it does not know: its own are made last. Its D-Bus name is ours as well, so it gets a bus of its own.
"""
import os
import pathlib
import shutil
import subprocess
import time

CONFIGFS = pathlib.Path("/sys/kernel/config/target")
SIZE = 128 << 20        # of the LUN that most is measured on
MORE_SIZE = 16 << 20    # of those beside it
HANDLERS = "/run/bench-handlers"
PEER_BUS = "unix:path=/run/peer-bus"
PORTAL = "127.0.0.1"
TGT_PORT = 3261


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}")
    return done.stdout


def wait_for(what, ready, seconds=40):
    deadline = time.monotonic() + seconds
    while not (found := ready()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited in vain for {what}")
        time.sleep(0.05)
    return found


def start(command, what, ready, **options):
    """A process that goes on; its log is /run/<name>.log."""
    name = os.path.basename(command[0])
    with open(f"/run/{name}.log", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **options)
    try:
        wait_for(what, lambda: process.poll() is not None or ready())
        if process.poll() is not None:
            raise RuntimeError(f"{name} has ended")
    except RuntimeError as error:
        raise RuntimeError(f"{error}; {name} said: {pathlib.Path(f'/run/{name}.log').read_text()}") from error
    return process.pid


def image(name, size):
    """A file in memory, filled with what neither compresses nor repeats."""
    path = f"/tank/{name}"
    random = os.urandom(1 << 20)
    with open(path, "wb") as file:
        for _ in range(size >> 20):
            file.write(random)
    return path


def block_device(names):
    name = wait_for(f"a disk in {names}", lambda: next(iter(os.listdir(names)), None) if os.path.isdir(names) else None)
    path = f"/dev/{name}"
    wait_for(path, lambda: os.path.exists(path) and pathlib.Path(path).is_block_device())
    return path


class Backend:
    """`disks` by fabric: the first LUN, then those beside it. `pid`: of the process that serves, None: the kernel does."""

    ours = False
    luns = 1
    fabrics = ("loopback",)

    def __init__(self, number):
        self.number = number
        self.disks = {}
        self.pid = None

    def set_up(self, luns):
        """Makes the disks, one or as many as are asked for and possible."""
        raise NotImplementedError

    def facts(self):
        device = pathlib.Path("/sys/block") / os.path.basename(self.disks[self.fabrics[0]][0])
        return {"disk": str(device), "max_sectors_kb": (device / "queue/max_sectors_kb").read_text().strip(), "luns": len(self.disks[self.fabrics[0]])}

    def add(self, fabric, disk):
        scheduler = pathlib.Path(f"/sys/block/{os.path.basename(disk)}/queue/scheduler")
        wait_for(scheduler, scheduler.exists)
        scheduler.write_text("none")
        self.disks.setdefault(fabric, []).append(disk)


class LioBackend(Backend):
    """A backstore of LIO, exported over loopback and iSCSI."""

    luns = 16
    fabrics = ("loopback", "iscsi")
    hba = ""
    attributes = {}

    def control(self, index, size):
        raise NotImplementedError

    def set_up(self, luns):
        hba = CONFIGFS / "core" / f"{self.hba}_{self.number}"
        hba.mkdir()
        backstores = []
        for index in range(min(luns, self.luns)):
            store = hba / f"lun{index}"
            store.mkdir()
            (store / "control").write_text(self.control(index, SIZE if index == 0 else MORE_SIZE))
            (store / "enable").write_text("1")
            (store / "wwn/vpd_unit_serial").write_text(f"bench{self.number:04}{index:04}")
            for attribute, value in self.attributes.items():
                (store / "attrib" / attribute).write_text(value)
            backstores.append(store)
        self.export_loopback(backstores)
        self.export_iscsi(backstores)

    def export_loopback(self, backstores):
        group = CONFIGFS / f"loopback/naa.50014050000000{self.number:02}/tpgt_1"
        group.mkdir(parents=True)
        (group / "nexus").write_text(f"naa.50014050000001{self.number:02}")
        for index, store in enumerate(backstores):
            self.link(group, index, store)
        address = (group / "address").read_text().strip()
        for index in range(len(backstores)):
            self.add("loopback", block_device(f"/sys/bus/scsi/devices/{address}:{index}/block"))

    def export_iscsi(self, backstores):
        target = f"iqn.2024-01.org.lunkit:{self.number}"
        group = CONFIGFS / f"iscsi/{target}/tpgt_1"
        group.mkdir(parents=True)
        for key, value in (("generate_node_acls", 1), ("demo_mode_write_protect", 0), ("authentication", 0), ("cache_dynamic_acls", 1)):
            (group / "attrib" / key).write_text(str(value))
        for index, store in enumerate(backstores):
            self.link(group, index, store)
        (group / f"np/{PORTAL}:3260").mkdir()
        (group / "enable").write_text("1")
        for disk in log_in(target, 3260, range(len(backstores))):
            self.add("iscsi", disk)

    @staticmethod
    def link(group, index, store):
        lun = group / f"lun/lun_{index}"
        lun.mkdir()
        (lun / store.name).symlink_to(store)


def log_in(target, port, luns):
    run("iscsiadm", "-m", "discovery", "-t", "sendtargets", "-p", f"{PORTAL}:{port}")
    run("iscsiadm", "-m", "node", "-T", target, "-p", f"{PORTAL}:{port}", "--login")
    for session in pathlib.Path("/sys/class/iscsi_session").iterdir():
        if (session / "targetname").read_text().strip() == target:
            for lun in luns:
                path = wait_for(f"LUN {lun} of {target}", lambda lun=lun: next(session.glob(f"device/target*/*:{lun}/block"), None))
                yield block_device(path)
            return
    raise RuntimeError(f"no session with {target}")


class Lunkitd:
    """The daemon, started by the first backend that needs it."""

    pid = None
    spin_us = 50

    @classmethod
    def running(cls):
        if cls.pid is None:
            os.makedirs(HANDLERS)
            for name in ("file", "ram"):    # not qcow: that name is tcmu-runner's here
                shutil.copy(next(pathlib.Path("/usr/lib").glob(f"**/lunkit/handler_{name}.so")), HANDLERS)
            pathlib.Path("/run/bench.conf").write_text(
                f"[daemon]\nhandler_dir={HANDLERS}\n[queues]\nspin_us={cls.spin_us}\n[tcmu]\nforeign_subtypes=ignore\n")
            has_name = ("dbus-send", "--system", "--print-reply", "--dest=org.freedesktop.DBus", "/",
                        "org.freedesktop.DBus.NameHasOwner", "string:org.kernel.TCMUService1")
            cls.pid = start(["lunkitd", "--foreground", "--config", "/run/bench.conf"], "lunkitd", lambda: "boolean true" in run(*has_name))
        return cls.pid


class OursTcmu(LioBackend):
    ours = True
    hba = "user"

    def config(self, index, size):
        raise NotImplementedError

    def control(self, index, size):
        return f"dev_config={self.config(index, size)},dev_size={size}"

    def set_up(self, luns):
        self.pid = Lunkitd.running()
        super().set_up(luns)


class File(OursTcmu):
    def config(self, index, size):
        return "file/" + image(f"file{index}", size)


class Ram(OursTcmu):
    def config(self, index, size):
        return f"ram/bench{index}"

    def set_up(self, luns):
        super().set_up(luns)
        for index, disk in enumerate(self.disks["loopback"]):     # else reads find nothing to copy, and writes make pages
            pieces = (SIZE if index == 0 else MORE_SIZE) >> 16
            run("dd", "if=/dev/zero", f"of={disk}", "bs=64k", f"count={pieces}", "oflag=direct", "status=none")


class Disk(OursTcmu):
    """A block device through the page cache."""

    luns = 1
    fabrics = ("loopback",)
    options = ""
    place = 0

    def config(self, index, size):
        sectors = size >> 9
        run("modprobe", "dm_mod")
        run("dmsetup", "create", f"bench{self.place}", "--table", f"0 {sectors} linear /dev/scratch-disk {self.place * sectors}")
        run("dmsetup", "mknodes", f"bench{self.place}")
        return f"file//dev/mapper/bench{self.place}{self.options}"

    def export_iscsi(self, backstores):
        pass


class DirectDisk(Disk):
    """The same without the page cache."""

    options = ";direct=on"
    place = 1


class Ublk(Backend):
    ours = True

    def set_up(self, luns):
        self.pid = Lunkitd.running()
        run("modprobe", "ublk_drv")
        self.add("loopback", run("lunkit", "ublk", "add", "file/" + image("ublk", SIZE)).strip())


class TcmuRunner(LioBackend):
    hba = "user"

    def control(self, index, size):
        return f"dev_config=qcow/{image(f'tcmu-runner{index}', size)},dev_size={size}"

    def set_up(self, luns):
        run("dbus-daemon", "--session", "--fork", f"--address={PEER_BUS}")
        environment = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=PEER_BUS)
        log = pathlib.Path("/var/log/tcmu-runner.log")
        self.pid = start(["tcmu-runner"], "tcmu-runner", lambda: log.exists() and "qcow" in log.read_text(), env=environment)
        time.sleep(3)   # it tells of its handlers before it listens to the kernel
        super().set_up(luns)


class Fileio(LioBackend):
    """As targetcli makes it: through the page cache."""

    hba = "fileio"
    attributes = {"emulate_write_cache": "1"}

    def control(self, index, size):
        return f"fd_dev_name={image(f'fileio{index}', size)},fd_dev_size={size},fd_buffered_io=1"


class Ramdisk(LioBackend):
    hba = "rd_mcp"

    def control(self, index, size):
        return f"rd_pages={size >> 12}"


class Loop(Backend):
    def set_up(self, luns):
        run("modprobe", "loop")
        self.add("loopback", run("losetup", "--find", "--show", image("loop", SIZE)).strip())


class Nbd(Backend):
    """qemu-nbd and the kernel's client, over a socket of the machine itself. (It goes to the background unless it is verbose.)"""

    def set_up(self, luns):
        run("modprobe", "nbd")
        self.pid = start(["qemu-nbd", "--verbose", "--format=raw", "--cache=writeback", "--persistent", "--connect=/dev/nbd0", image("nbd", SIZE)],
                         "/dev/nbd0", lambda: int(pathlib.Path("/sys/block/nbd0/size").read_text()) == SIZE >> 9)
        self.add("loopback", "/dev/nbd0")


class Tgt(Backend):
    fabrics = ("iscsi",)

    def set_up(self, luns):
        target = "iqn.2024-01.org.lunkit:tgt"
        self.pid = start(["tgtd", "--foreground", "--iscsi", f"portal={PORTAL}:{TGT_PORT}"], "tgtd",
                         lambda: subprocess.run(["tgtadm", "--mode", "sys", "--op", "show"], capture_output=True).returncode == 0)
        run("tgtadm", "--lld", "iscsi", "--op", "new", "--mode", "target", "--tid", "1", "--targetname", target)
        run("tgtadm", "--lld", "iscsi", "--op", "new", "--mode", "logicalunit", "--tid", "1", "--lun", "1", "--backing-store", image("tgt", SIZE))
        run("tgtadm", "--lld", "iscsi", "--op", "bind", "--mode", "target", "--tid", "1", "--initiator-address", "ALL")
        for disk in log_in(target, TGT_PORT, [1]):
            self.add("iscsi", disk)


# In the order in which they are made, and take turns.
KINDS = {"file": File, "ram": Ram, "ublk": Ublk, "disk": Disk, "direct-disk": DirectDisk, "fileio": Fileio, "ramdisk": Ramdisk,
         "loop": Loop, "qemu-nbd": Nbd, "tgt": Tgt, "tcmu-runner": TcmuRunner}


def prepare():
    """What all of them stand on."""
    for service in pathlib.Path("/usr/share/dbus-1/system-services").glob("org.kernel.TCMUService1.service"):
        service.unlink()    # nobody shall start a daemon but we
    run("mount", "-t", "tmpfs", "-o", "size=6G", "tank", "/tank")
    for module in ("target_core_user", "target_core_file", "tcm_loop", "iscsi_target_mod", "iscsi_tcp"):
        run("modprobe", module)
    (CONFIGFS / "iscsi").mkdir(exist_ok=True)
    (CONFIGFS / "loopback").mkdir(exist_ok=True)
    run("iscsid")


def set_up(names, luns):
    made = {}
    for number, (name, kind) in enumerate(KINDS.items(), start=1):
        if name in names:
            made[name] = kind(number)
            made[name].set_up(luns)
    wait_for("an idle machine", is_idle, 120)
    return made


def is_idle():
    """For the next second: new disks are probed for a while after they can be used."""
    def idle_ticks():   # a thread that waits in io_uring counts as iowait
        return sum(map(int, pathlib.Path("/proc/stat").read_text().split()[4:6]))
    before = idle_ticks()
    time.sleep(1)
    return idle_ticks() - before > 0.8 * os.cpu_count() * os.sysconf("SC_CLK_TCK")


def take_away():
    """The disks, while there is somebody to answer for them: a machine that goes down asks each to write its cache."""
    for disk in pathlib.Path("/sys/block").glob("sd*"):
        (disk / "device/delete").write_text("1")
