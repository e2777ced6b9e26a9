"""doctor: every check can fail, and says what is wrong and what to do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from lab_helpers.core import paths
from lab_helpers.core.errors import HostError
from lab_helpers.node import host, machine
from lab_helpers.node.build import toolchain
from lab_helpers.node.machine import Machine
from tests.sudo import as_root, home


def test_not_root(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    check = host._root()
    assert not check.well and check.do.endswith("/meshlab up") and "sudo /" in check.do


def test_what_only_root_can_try_is_not_called_missing(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(host.kernel, "_tries", lambda command: pytest.fail("was tried"))
    for check in (host.kernel.has("namespaces"), host.kernel.overlay()):
        assert check.found == "not root: not tried" and check.do.endswith("/meshlab doctor") and "CONFIG" not in check.do


def test_in_a_chroot(monkeypatch, tmp_path):
    monkeypatch.setattr(host, "Path", lambda path: tmp_path)
    check = host._own_root()
    assert not check.well and check.found == "a chroot"


def test_not_linux_on_x86_64(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    check = host._platform()
    assert not check.well and "aarch64" in check.found and "--context" in check.do


def test_too_little_memory(monkeypatch):
    monkeypatch.setitem(host.MEMORY_GIB, "build", 10**6)
    check = host._memory(None, built=False)
    assert not check.well and check.needed == "1000000 GiB"


@pytest.fixture
def full(monkeypatch):
    """A machine of which little is left: 1.2 GiB of memory, 2 GiB of disk."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1.2 * 2**30))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2 * 2**30))


def look(node: Machine | None, built: bool) -> dict[str, host.Check]:
    return {check.check: check for check in host.checks(node, built)}


@pytest.mark.parametrize(("held", "well"), [(2300.0, True), (0.0, False), (None, False)])
def test_a_lab_that_fills_the_memory_itself_can_be_repaired(full, monkeypatch, held, well):
    """On 8 GiB with a browser open a lab that was up could not be brought up: its own memory was asked for once more."""
    monkeypatch.setattr(machine, "memory_mib", lambda node: held)
    assert look(Machine(), built=True)["memory"].well == well


def test_what_the_caches_hold_already_need_not_be_free(full, monkeypatch, tmp_path):
    """With one part missing, room for all of them was asked for."""
    monkeypatch.setattr(host.paths, "CACHE", tmp_path / "cache")
    monkeypatch.setitem(host.DISK_GIB, "build", 2.001)
    assert not look(None, built=False)["disk for caches"].well
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "part").write_bytes(b"x" * 2**21)
    check = look(None, built=False)["disk for caches"]
    assert check.well and "the lab's own" in check.found
    (tmp_path / "cache").rename(tmp_path / "elsewhere")
    (tmp_path / "cache").symlink_to(tmp_path / "elsewhere")  # as where a home does not let root keep files
    assert look(None, built=False)["disk for caches"].well


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_where_root_may_not_keep_files_of_its_own(tmp_path):
    """A home on a server that does not trust root: root there is nobody in particular."""
    code = "from lab_helpers.node import host; print(host._cache().as_dict())"
    ann = home(tmp_path / "ann")
    assert "'well': True" in as_root(code, ann).stdout
    said = as_root(code, ann, without="-dac_override,-dac_read_search,-chown,-fowner").stdout
    assert "'well': False" in said and "Permission denied" in said and "a link to a folder there" in said


@pytest.mark.parametrize(("cpus", "gib", "compilers"), [(32, 8, 4), (2, 64, 2), (32, 0.5, 1), (1, 8, 1)])
def test_no_more_compilers_than_there_is_memory_for(monkeypatch, cpus, gib, compilers):
    """One for each of 32 processors took more than 8 GiB."""
    monkeypatch.setattr(os, "cpu_count", lambda: cpus)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=gib * 2**30))
    assert f"-p={compilers}" in toolchain.go_environment()["GOFLAGS"].split()


def test_too_little_disk():
    check = host._disk(Path("/nowhere/yet"), 10**9, "caches")
    assert not check.well and "GiB free" in check.found and "Free some space" in check.do


def test_a_missing_kernel_feature(monkeypatch):
    monkeypatch.setitem(host.kernel.NEEDED, "namespaces", ("echo Operation not permitted >&2; false", "CONFIG_NAMESPACES"))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    check = host.kernel.has("namespaces")
    assert not check.well and "not permitted" in check.found and "CONFIG_NAMESPACES" in check.do


def test_a_file_system_that_carries_no_overlay(monkeypatch):
    monkeypatch.setattr(host.kernel, "_tries", lambda command: "wrong fs type")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    check = host.kernel.overlay()
    assert not check.well and "CONFIG_OVERLAY_FS" in check.do


def test_too_few_inotify_instances(monkeypatch, tmp_path):
    (tmp_path / "limit").write_text("64\n")
    monkeypatch.setattr(host, "INOTIFY", tmp_path / "limit")
    check = host._inotify()
    assert not check.well and check.found == "64" and "sysctl -w fs.inotify.max_user_instances=128" in check.do


def test_an_address_in_use():
    name, address = next((n, a) for n, found in psutil.net_if_addrs().items() for a in found if a.family.name == "AF_INET")
    check = host.network.addresses(Machine(address=address.address))
    assert not check.well and name in check.found


def in_network(*links: str) -> host.Check:
    """What `doctor` says of the lab's addresses, at 192.168.128.27 and 192.168.128.1, in a network of its own made by `links`."""
    code = (
        "from lab_helpers.node.host import network; from lab_helpers.node.machine import Machine; print(repr(network.addresses(Machine())))"
    )
    made = "ip link set lo up; ip link add lan type veth peer name other; ip link set other up"
    script = "\n".join(["set -e", made, *links, 'exec "$@"'])
    command = ["unshare", "--net", "sh", "-c", script, "sh", sys.executable, "-B", "-c", code]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(paths.ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return eval(done.stdout, {"Check": host.Check})


UP = "ip link set lan up"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a network")
@pytest.mark.parametrize(
    ("links", "found"),
    [
        ([], "free"),
        (["ip address add 192.168.3.4/16 dev lan", UP], "free"),  # an office's; all that the lab takes of it is two addresses
        (["ip address add 192.168.128.27/24 dev lan"], "lan has 192.168.128.27"),
        (
            ["ip address add 192.168.128.9/24 dev lan", UP, "ip route add default via 192.168.128.1"],
            "192.168.128.1 is the router behind lan",
        ),
        (
            ["ip address add 192.168.128.9/24 dev lan", UP, "ip neigh add 192.168.128.27 lladdr 02:00:00:00:00:01 dev lan"],
            "192.168.128.27 is a neighbour on lan",
        ),
        ([UP, "ip route add 192.168.128.27 dev lan"], "192.168.128.27 has a route of its own, by lan"),
        (
            [UP, "ip rule add priority 50 lookup 52", "ip route add 192.168.128.0/24 dev lan table 52"],
            "a rule sends 192.168.128.27 by lan; a rule sends 192.168.128.1 by lan",
        ),
    ],
    ids=["empty", "office", "own", "router", "neighbour", "host route", "VPN"],
)
def test_only_the_two_addresses_of_the_link_have_to_be_free(links, found):
    check = in_network(*links)
    assert check.found == found and check.well == (found == "free") and "MESHLAB_NODE_ADDRESS=" in check.do


def test_a_name_server_is_not_taken_the_address(monkeypatch, tmp_path):
    (tmp_path / "resolv.conf").write_text("nameserver 10.99.0.1\n")
    monkeypatch.setattr(host.network, "RESOLVER", tmp_path / "resolv.conf")
    assert host.network.addresses(Machine(address="10.99.0.2")).found == "10.99.0.1 is the name server"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("here", "no IPv4 address"),
        ("192.168.1", "no IPv4 address"),
        ("fd00::1", "no IPv4 address"),
        ("10.244.3.4", "those of the lab's pods"),
        ("10.96.0.10", "those of the lab's services"),
        ("8.8.8.8", "not a private address"),
        ("127.0.0.1", "not a private address"),
        ("10.0.0.255", "not a private address of one machine"),
        ("169.254.1.1", "not a private address"),
    ],
)
def test_an_address_that_a_node_cannot_have(monkeypatch, given, sentence):
    monkeypatch.setenv("MESHLAB_NODE_ADDRESS", given)
    with pytest.raises(HostError, match=sentence) as caught:
        machine.chosen()
    assert given in caught.value.what and "10.99.0.2" in caught.value.do


@pytest.mark.parametrize(
    ("given", "addresses"), [("10.1.2.3", ("10.1.2.3", "10.1.2.1")), ("10.1.2.1", ("10.1.2.1", "10.1.2.2")), ("", None)]
)
def test_the_nodes_address_can_be_chosen(monkeypatch, given, addresses):
    monkeypatch.setenv("MESHLAB_NODE_ADDRESS", given)
    node = machine.chosen()
    assert (node.address, node.host_address) == (addresses or ("192.168.128.27", "192.168.128.1"))


def test_an_interface_name_in_use(monkeypatch):
    monkeypatch.setattr(machine, "init_pid", lambda node: None)
    check = host.network.link(Machine(link="lo"))
    assert not check.well and "lo" in check.do


def cgroup_root(folder: Path, version: int, controllers: str) -> Path:
    """What the kernel shows of its cgroups."""
    for name in controllers.split() if version == 1 else ["."]:
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "cgroup.procs").touch()
    if version == 2:
        (folder / "cgroup.controllers").write_text(controllers)
        (folder / "cgroup.subtree_control").write_text("cpu\n")
    return folder


@pytest.mark.parametrize("version", [1, 2])
def test_missing_cgroup_controllers(monkeypatch, tmp_path, version):
    monkeypatch.setattr(machine.cgroups, "ROOT", cgroup_root(tmp_path, version, "cpu cpuset pids"))
    check = host.kernel.controllers()
    assert not check.well and "memory" in check.do and check.found == "cpu, cpuset, pids"
    cgroup_root(tmp_path, version, "cpu cpuset pids memory")
    assert host.kernel.controllers().well and not [*tmp_path.rglob("meshlab*")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a cgroup")
def test_cgroups_that_cannot_be_made(monkeypatch, tmp_path):
    """In a container they are there, and not to be written."""
    root = cgroup_root(tmp_path, 2, "cpu cpuset pids memory")
    code = f"""from pathlib import Path; from lab_helpers.node import host, machine; machine.cgroups.ROOT = Path("{root}")
print(host.kernel.controllers().as_dict())
try: machine.cgroups.make(Path("/tmp"))
except host.HostError as error: print(error)"""
    command = ["unshare", "--mount", "sh", "-c", f'mount --bind -o ro {root} {root} && mount -o remount,bind,ro {root} && exec "$@"', "sh"]
    environment = {**os.environ, "PYTHONPATH": str(paths.ROOT)}
    done = subprocess.run([*command, sys.executable, "-B", "-c", code], env=environment, capture_output=True, text=True)
    assert "'well': False" in done.stdout and "Read-only file system" in done.stdout, done.stderr
    assert "cgroups cannot be made" in done.stdout and "docker run --privileged" in done.stdout


def test_a_kernel_log_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setattr(host.kernel, "KMSG", str(tmp_path / "kmsg"))
    check = host.kernel.kmsg()
    assert not check.well and "No such file" in check.found and "--device" in check.do
    (tmp_path / "kmsg").touch()
    assert host.kernel.kmsg().well


def test_require_says_all_of_it_at_once(monkeypatch):
    bad = [
        host.Check("memory", "1 GiB free", "4 GiB free", False, "Close something."),
        host.Check("user", "me", "root", False, "Use sudo."),
    ]
    monkeypatch.setattr(host, "checks", lambda node, built: [*bad, host.Check("disk", "9", "3", True)])
    with pytest.raises(HostError) as caught:
        host.require(Machine(), built=True)
    assert "memory: 1 GiB free (needed: 4 GiB free)" in caught.value.what and "user: me" in caught.value.what
    assert "Close something." in caught.value.do and "Use sudo." in caught.value.do


def test_doctor_is_the_same_table_as_json(monkeypatch):
    from click.testing import CliRunner

    from lab_helpers import cli

    checks = [host.Check("memory", "1 GiB free", "4 GiB free", False, "Close something.")]
    monkeypatch.setattr("lab_helpers.node.status.doctor", lambda: checks)
    as_json = CliRunner().invoke(cli.main, ["doctor", "--json"])
    assert json.loads(as_json.stdout) == [
        {"check": "memory", "found": "1 GiB free", "needed": "4 GiB free", "well": False, "do": "Close something."}
    ]
    table = CliRunner().invoke(cli.main, ["doctor"])
    assert as_json.exit_code == table.exit_code == 1 and "Close something." in table.stdout
