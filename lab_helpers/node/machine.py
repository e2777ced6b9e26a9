"""The node as the machine that Kubernetes sees: namespaces, a root file system, one network link, and no way out."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from lab_helpers.core import paths
from lab_helpers.core.errors import HostError, NodeError
from lab_helpers.core.wait import wait_until
from lab_helpers.node import boot
from lab_helpers.node.build.binaries import KUBERNETES
from lab_helpers.node.build.toolchain import NODE_ROOT

# A node's namespaces; everything in them ends with the process that this starts.
UNSHARE = ("unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc")
# What a program has there: the host's own proxies, say, are none for anything in the lab.
ENVIRONMENT = ("PATH=/opt/lab/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root")
CGROUP = "meshlab"
CGROUP_ROOT = Path("/sys/fs/cgroup")
AGAIN = "Run `meshlab down` again."


@dataclass(frozen=True)
class Machine:
    """One node: its name, its address, and the link that joins it to the host.

    Attributes
    ----------
    name, address : str
        As Kubernetes knows the node.
    host_address, link : str
        The host's end of the link: its address and its interface's name.
    pods, services : str
        Address ranges (CIDR) of pods and of services; reachable from inside the node only.
    """

    name: str = "controlplane"
    address: str = "192.168.128.27"
    host_address: str = "192.168.128.1"
    link: str = "meshlab0"
    pods: str = "10.244.0.0/16"
    services: str = "10.96.0.0/16"

    @property
    def node_pods(self) -> str:
        """The part of `pods` that this node's pods are in."""
        return self.pods.replace("/16", "/24")

    @property
    def dns(self) -> str:
        return self.services.rsplit(".", 2)[0] + ".0.10"

    @property
    def state(self) -> Path:
        return paths.STATE

    @property
    def pid_file(self) -> Path:
        """Holds the process id of the `unshare` that holds the node's namespaces; the node ends with it."""
        return self.state / "unshare.pid"


MACHINE = Machine()  # the one that the embedded lab has


def _born(pid: int) -> list[str]:
    """What tells a process from all others that ever have its id: the boot of the machine, and when it began in it."""
    began = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    return [Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip(), began]


def _ended(process: psutil.Process) -> bool:
    """Whether it is gone; a zombie is, though a PID 1 that reaps nobody (a container's may not) keeps it for ever."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _holder(machine: Machine) -> psutil.Process | None:
    """The `unshare` process that holds the node's namespaces, in whatever state of its boot it is."""
    try:
        pid, *born = machine.pid_file.read_text(encoding="utf-8").split()
        process = psutil.Process(int(pid))
        # Its id may have been given to somebody else since, after a reboot in particular. Labs of an earlier version noted no more than it.
        same = born == _born(process.pid) if born else process.name() == "unshare"
        return process if same and not _ended(process) else None
    except (FileNotFoundError, ProcessLookupError, ValueError, psutil.NoSuchProcess):
        return None


def init_pid(machine: Machine) -> int | None:
    """The host's process id of the node's init, or None when no node has booted to its end."""
    try:
        holder = _holder(machine)
        init = next((child for child in holder.children() if child.name() == "tini" and not _ended(child)), None) if holder else None
        return init.pid if init and Path(f"/proc/{init.pid}/root", "run/booted").exists() else None
    except PermissionError:  # only root may look inside; that there is an init, anybody sees
        return init.pid
    except psutil.NoSuchProcess:
        return None


def start(machine: Machine, log: Path) -> None:
    """Boot the node: its namespaces, root file system and link. Its components come after; see `components`.

    Raises
    ------
    NodeError
        When the namespaces or the link cannot be made: with the reason the kernel gave.
    """
    _make_cgroups()
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "STATE": str(machine.state),
        "LOWER": str(NODE_ROOT.path / "root"),
        "BINARIES": str(KUBERNETES.path),
        "DNS": machine.dns,
        "NAME": machine.name,
        "ADDRESS": machine.address,
        "SETTINGS": " ".join(f"{name}={value}" for name, value in boot.KERNEL_SETTINGS.items()),
    }
    # It makes nothing before it is written down who it is, so that a boot that is killed here can still be found.
    held = ["sh", "-c", 'read go && exec "$@" </dev/null', "held", *UNSHARE, "sh", "-c", boot.BOOT]
    with log.open("w", encoding="utf-8") as out:
        holder = psutil.Popen(held, env=environment, stdin=subprocess.PIPE, stdout=out, stderr=out, start_new_session=True, cwd="/")
    machine.pid_file.write_text(" ".join([str(holder.pid), *_born(holder.pid)]), encoding="utf-8")
    with holder.stdin as told:
        told.write(b"go\n")

    def init() -> int | None:
        if holder.poll() is not None:
            raise NodeError(
                f"The node did not boot: {log.read_text(encoding='utf-8').strip()[-600:]}",
                "Run `meshlab doctor`: it names what this kernel lacks.",
            )
        return next((child.pid for child in holder.children() if child.name() == "tini"), None)

    pid = wait_until(init, "the node's init", seconds=20, error=NodeError, do="See `meshlab logs boot`.")
    _host("ip", "link", "add", machine.link, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    # On this end, too, which root in the node cannot reach.
    _host("sh", "-ec", boot.NO_IPV6.format(link=machine.link))
    _host("ip", "address", "add", f"{machine.host_address}/32", "peer", machine.address, "dev", machine.link)
    _host("ip", "link", "set", machine.link, "up")
    addresses = {"address": machine.address, "host_address": machine.host_address, "services": machine.services}
    script = boot.NETWORK.format(no_ipv6=boot.NO_IPV6.format(link="eth0"), **addresses)
    done = subprocess.run(_enter(pid, ["sh", "-c", script]), capture_output=True, encoding="utf-8")
    if done.returncode:
        raise NodeError(
            f"The node's network could not be set up: {done.stderr.strip()}",
            "Run `meshlab doctor`, then `meshlab up` again.",
        )


def stop(machine: Machine) -> None:
    """Kill the node's init, and with it everything in its namespaces; then take its cgroups away."""
    if holder := _holder(machine):
        held = [holder, *holder.children(recursive=True)]
        holder.kill()
        wait_until(lambda: all(map(_ended, held)), "the end of the node's processes", 30, error=NodeError, do=AGAIN)
    _remove_link(machine.link)
    machine.pid_file.unlink(missing_ok=True)
    remove_cgroups()


def _remove_link(name: str) -> None:
    """Delete a link. A network namespace without processes outlives them while TCP still tries to say goodbye; its link need not."""
    link = Path("/sys/class/net", name)
    if link.exists():
        done = subprocess.run(["ip", "link", "delete", name], capture_output=True, encoding="utf-8")
        # When the kernel was faster and is taking it away with its namespace, that has failed, and is no failure.
        said = done.stderr.strip()
        wait_until(lambda: not link.exists(), f"the end of the link {name}", 10, late=lambda: said, error=HostError, do=AGAIN)


def inside(machine: Machine, command: Sequence[str]) -> list[str]:
    """`command` as it has to be called to run inside the node, with nothing of the caller's environment.

    Raises
    ------
    NodeError
        When the node is not running.
    """
    pid = init_pid(machine)
    if pid is None:
        raise NodeError("The embedded node is not running.", "Start it with `meshlab up`.")
    return _enter(pid, command)


def _enter(pid: int, command: Sequence[str]) -> list[str]:
    enter = ["nsenter", f"--target={pid}", "--mount", "--net", "--pid", "--uts", "--ipc", "--root", "--wd", "--"]
    return [*enter, "/usr/bin/env", "--ignore-environment", *ENVIRONMENT, *map(str, command)]


def processes(machine: Machine) -> list[int]:
    """The host's process ids of everything that runs in the node, containers included."""
    pid = init_pid(machine)
    if pid is None:
        return []
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def memory_mib(machine: Machine) -> float | None:
    """Sum over the node's processes of the proportional set size (PSS), in MiB; None for whoever is not root.

    A page that n processes share counts 1/n in each, so the sum is what the lab really occupies; see proc(5), smaps_rollup.
    """
    total = 0
    for pid in processes(machine):
        try:
            total += psutil.Process(pid).memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
        except psutil.AccessDenied:
            return None
    return total / 2**20


def _cgroups() -> list[Path]:
    """The lab's cgroup in every hierarchy (cgroup v1), or its one cgroup (v2)."""
    if (CGROUP_ROOT / "cgroup.controllers").exists():
        return [CGROUP_ROOT / CGROUP]
    return [
        path / CGROUP
        for path in sorted(CGROUP_ROOT.iterdir())
        if path.is_dir() and not path.is_symlink() and (path / "cgroup.procs").exists()
    ]


def _make_cgroups() -> None:
    unified = CGROUP_ROOT / "cgroup.subtree_control"
    if unified.exists():
        available = (CGROUP_ROOT / "cgroup.controllers").read_text(encoding="utf-8").split()
        unified.write_text(" ".join(f"+{controller}" for controller in available), encoding="utf-8")
    for cgroup in _cgroups():
        cgroup.mkdir(exist_ok=True)


def remove_cgroups() -> None:
    """Remove the lab's cgroups, deepest first, once their last process is gone."""
    for cgroup in _cgroups():
        for folder, _, _ in os.walk(cgroup, topdown=False):
            what = f"the end of the processes in {folder}"
            wait_until(lambda folder=Path(folder): _rmdir(folder), what, 30, error=NodeError, do=AGAIN)


def _rmdir(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True


def forget(machine: Machine) -> None:
    """Delete the state of a stopped node: etcd's data, its containers, its certificates, its logs."""
    if machine.state.exists():
        shutil.rmtree(machine.state)


def _host(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    if done.returncode:
        raise HostError(
            f"`{' '.join(command)}` failed: {done.stderr.strip()}",
            "Run `meshlab doctor`: it looks for what is in the way.",
        )
