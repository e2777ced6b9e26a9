"""doctor: every check can fail, and says what is wrong and what to do."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_where_root_may_not_keep_files_of_its_own(tmp_path):
    """A home on a server that does not trust root: root there is nobody in particular."""
    code = "from lab_helpers.node import host; print(host._cache().as_dict())"
    ann = home(tmp_path / "ann")
    assert "'well': True" in as_root(code, ann).stdout
    said = as_root(code, ann, without="-dac_override,-dac_read_search,-chown,-fowner").stdout
    assert "'well': False" in said and "Permission denied" in said and "a link to a folder there" in said


def test_without_ipv6_at_all(monkeypatch, tmp_path):
    assert host._ipv6().well == Path("/proc/net/if_inet6").exists()
    monkeypatch.setattr(host, "Path", lambda path: tmp_path / "none")
    check = host._ipv6()
    assert not check.well and "ipv6.disable=1" in check.do


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


def test_an_interface_name_in_use(monkeypatch):
    monkeypatch.setattr(machine, "init_pid", lambda node: None)
    check = host.network.link(Machine(link="lo"))
    assert not check.well and "lo" in check.do


def test_missing_cgroup_controllers(monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda self: False)
    check = host.kernel.controllers()
    assert not check.well and "memory" in check.do


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
