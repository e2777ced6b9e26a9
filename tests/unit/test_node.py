"""How `up` meets a cluster that is starting, broken or well: the cluster is played by functions."""

import json
import os
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from lab_helpers.core import paths
from lab_helpers.core.errors import ClusterError, HostError, MeshError, NodeError, TrafficError
from lab_helpers.core.wait import wait_until
from lab_helpers.kube import objects
from lab_helpers.kube.client import Client
from lab_helpers.kube.kubeconfig import Context
from lab_helpers.node import machine
from lab_helpers.node.install import mesh
from lab_helpers.node.kubernetes import cluster, components, configuration, pki
from lab_helpers.node.machine import MACHINE, boot
from tests.web import known, serving


class Steps:
    """A report that keeps the names of the steps."""

    def __init__(self):
        self.names = []

    @contextmanager
    def step(self, name):
        self.names.append(name)
        yield lambda line: None


@pytest.fixture
def istio(monkeypatch):
    """A function that makes an Istio with these Deployments, problems as they are told one look after the other, and rollouts that end."""

    def make(there=mesh.DEPLOYMENTS, problems=((),), rolls_out=True) -> SimpleNamespace:
        looks, done = iter(problems), []

        def complete(client, names, namespace, seconds=180, error=MeshError):
            if not rolls_out and "ensured" not in done:
                raise error("istiod waits")

        monkeypatch.setattr(mesh.installation, "problems", lambda lab: list(next(looks)))
        monkeypatch.setattr(mesh.installation, "ensure", lambda lab: done.append("ensured"))
        monkeypatch.setattr(mesh.rollout, "complete", complete)
        monkeypatch.setattr(mesh.installation, "note", lambda lab: done.append("noted"))
        listed = [{"metadata": {"name": name}} for name in there]
        return SimpleNamespace(client=SimpleNamespace(list=lambda kind, namespace: listed), done=done)

    return make


INSTALL, READY = "install Istio (demo profile)", "Istio's control plane and gateways"


@pytest.mark.parametrize(
    ("how", "steps"),
    [
        ({"problems": [()]}, [READY]),
        ({"there": (), "problems": [["there is no Deployment istiod"]]}, [INSTALL, READY]),
        ({"there": ("istiod",), "problems": [["there is no Deployment istio-ingressgateway"]]}, [INSTALL, READY]),
        ({"problems": [["Deployment istiod is not available"], ()]}, [READY]),
        ({"problems": [["it was installed with other settings"]] * 2}, [INSTALL, READY]),
        ({"problems": [["Deployment istiod is not available"]], "rolls_out": False}, [INSTALL, READY]),
    ],
    ids=["well", "none", "half of it", "only starting", "another", "broken"],
)
def test_istio_is_installed_only_where_waiting_does_not_do(istio, how, steps):
    lab, report = istio(**how), Steps()
    mesh.install_istio(report, lab)
    assert report.names == steps and lab.done == [*["ensured"] * steps.count(INSTALL), "noted"]


def test_the_page_is_waited_for_and_what_was_seen_instead_is_told():
    answers = iter(["silence", 503, 200])

    def page():
        answer = next(answers, 503)
        if answer == "silence":
            raise TrafficError("nothing answered")
        return SimpleNamespace(status=answer, url="http://192.0.2.7:30080/productpage")

    assert mesh.wait_page(SimpleNamespace(page=page), seconds=5) == "http://192.0.2.7:30080/productpage"
    with pytest.raises(MeshError, match="a 200 from Bookinfo's page: HTTP 503 from http://192.0.2.7"):
        mesh.wait_page(SimpleNamespace(page=page), seconds=0)


def test_an_api_server_that_starts_is_waited_for_with_its_namespaces(monkeypatch):
    namespaces, tries = set(), []

    def connect(**how):
        tries.append(how)
        if len(tries) == 1:
            raise ClusterError("does not answer")
        namespaces.add(cluster.EVERYWHERE[len(tries) - 2])
        return SimpleNamespace(client=SimpleNamespace(get=lambda kind, name: name if name in namespaces else None))

    monkeypatch.setattr(cluster, "connect", connect)
    assert cluster.reach() and len(tries) == 1 + len(cluster.EVERYWHERE)


def test_an_api_server_that_never_answers_is_named(monkeypatch):
    def connect(**how):
        raise ClusterError("The cluster does not answer.")

    monkeypatch.setattr(cluster, "connect", connect)
    monkeypatch.setattr(cluster, "wait_until", lambda probe, what, seconds, *more: wait_until(probe, what, 0, *more))
    with pytest.raises(NodeError, match="(?s)the API server to answer: The cluster does not answer..*meshlab logs kube-apiserver"):
        cluster.reach()


@pytest.fixture
def servers():
    """Two web servers."""
    with serving() as one, serving() as other:
        yield one, other


def test_no_proxy_of_the_host_is_one_in_the_node(monkeypatch, servers):
    (proxy, by_proxy), (component, asked) = servers
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(machine, "init_pid", lambda machine: 1)

    def there(command: list) -> subprocess.CompletedProcess:
        """Run what is to run in the node, here."""
        entered = machine.inside(MACHINE, command)
        return subprocess.run(entered[entered.index("/usr/bin/env") :], check=True, capture_output=True, text=True)

    there(components._curl(f"{component}/readyz"))
    assert [(each.method, each.path) for each in asked] == [("GET", "/readyz")] and by_proxy == []
    assert there(["env"]).stdout.splitlines() == [*machine.ENVIRONMENT]


def test_what_is_applied_goes_out_as_kubectl_writes_it():
    """Istio's dashboards have signs beyond 16 bits; escaped as two halves, as JSON may have them, the API server does not read them."""
    config_maps = {"name": "configmaps", "kind": "ConfigMap", "namespaced": True, "verbs": ["patch"]}
    pages = known(
        {
            "/version": {"gitVersion": "v1.36.3"},
            "/apis": {"kind": "APIGroupList", "groups": []},
            "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [config_maps]},
        }
    )
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}, "data": {"sign": "\U0001f600 ü"}}
    with serving(lambda request: (200, request.body) if request.method == "PATCH" else pages(request)) as (address, asked):
        assert objects.write(Client(Context("c", {"server": address}, {}, "")), document, dry_run=True) == document
    [sent] = [each for each in asked if each.method == "PATCH"]
    assert (sent.path, sent.query) == ("/api/v1/namespaces/b/configmaps/a", "dryRun=All&fieldManager=meshlab&force=true")
    assert sent.headers["content-type"] == "application/apply-patch+yaml"
    assert json.loads(sent.body) == document and "\U0001f600 ü".encode() in sent.body


def test_what_a_running_component_watches_is_not_written_again(monkeypatch, tmp_path):
    """kube-proxy ends as soon as its file is written: an `up` that broke off after that left the lab without it."""
    monkeypatch.setattr(paths, "STATE", tmp_path)
    pki.create(MACHINE)
    configuration.write(MACHINE)
    files = [tmp_path / "etc" / name for name in ("kube-proxy.yaml", "kubelet.yaml", "containerd.toml")] + [*(tmp_path / "cni").iterdir()]
    before = [(each.stat().st_mtime_ns, each.read_text()) for each in files]
    files[0].write_text("old")
    configuration.write(MACHINE)
    assert files[0].read_text() == before[0][1], "what has changed is not taken up"
    assert [(each.stat().st_mtime_ns, each.read_text()) for each in files[1:]] == before[1:]


@pytest.mark.timeout(30)
def test_images_that_cannot_be_loaded_are_told_of_and_not_waited_for(monkeypatch, tmp_path):
    """With a full disk ctr ended, tar waited for a reader, and `up` for tar, for ever."""
    (tmp_path / "blob").write_bytes(b"x" * 2**21)
    monkeypatch.setattr(cluster, "inside", lambda machine, command: ["sh", "-c", "echo no space left on device >&2; exit 1"])
    with pytest.raises(NodeError, match="no space left on device"):
        cluster._import(MACHINE, tmp_path)


@pytest.fixture
def process(monkeypatch, tmp_path):
    """A process that stands for the one that holds a node, which nobody reaps; the node's state is the test's own."""
    monkeypatch.setattr(paths, "STATE", tmp_path)
    monkeypatch.setattr(machine.cgroups, "remove", lambda state: None)
    with subprocess.Popen(["sleep", "infinity"]) as started:
        yield started
        started.kill()


NODE = machine.Machine(link="no-such-link")


def test_the_node_is_found_and_its_end_seen_though_nobody_reaps_it(process):
    NODE.pid_file.write_text(" ".join([str(process.pid), *machine._born(process.pid)]))
    assert machine._holder(NODE).pid == process.pid
    machine.stop(NODE)
    assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE and not NODE.pid_file.exists()
    NODE.pid_file.write_text(" ".join([str(process.pid), *machine._born(process.pid)]))
    assert machine._holder(NODE) is None
    process.wait()
    assert machine._holder(NODE) is None


@pytest.mark.parametrize("born", [["another boot", "1"], ["{boot}", "1"], ["another boot", "{began}"]], ids=["both", "began", "boot"])
def test_somebody_elses_process_that_has_the_id_now_is_left_alone(process, monkeypatch, born):
    boot, began = machine._born(process.pid)
    monkeypatch.setattr(psutil.Process, "name", lambda self: "unshare")
    NODE.pid_file.write_text(" ".join([str(process.pid), *(each.format(boot=boot, began=began) for each in born)]))
    assert machine.init_pid(NODE) is None
    machine.stop(NODE)
    assert psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE and not NODE.pid_file.exists()


@pytest.mark.parametrize("text", ["", "x", "99999999", "99999999 boot 1"])
def test_a_note_that_says_nothing_or_of_somebody_gone_is_no_node(process, text):
    NODE.pid_file.write_text(text)
    assert machine._holder(NODE) is None


def test_a_link_that_goes_by_itself_is_as_good_as_one_that_was_deleted(monkeypatch, tmp_path):
    """The kernel takes the link of a dying namespace away: between two looks, in the middle of `ip link delete`, or a moment after."""
    link = tmp_path / "meshlab0"

    def delete(command, **how):
        threading.Timer(0.1, link.rmdir).start()
        return subprocess.CompletedProcess(command, 1, "", "Cannot find device")

    monkeypatch.setattr(machine, "Path", lambda *parts: link)
    monkeypatch.setattr(machine.subprocess, "run", delete)
    machine._remove_link(link.name)
    link.mkdir()
    machine._remove_link(link.name)
    assert not link.exists()
    link.mkdir()
    monkeypatch.setattr(machine, "wait_until", lambda probe, what, seconds, **more: wait_until(probe, what, 0, **more))
    monkeypatch.setattr(threading, "Timer", lambda *how: SimpleNamespace(start=lambda: None))
    with pytest.raises(HostError, match="Cannot find device"):
        machine._remove_link(link.name)


def in_namespaces(script: str, folder: Path, **env: str) -> str:
    """What a shell prints that is root in namespaces of its own, started in `folder`."""
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = ["unshare", *root, "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", script]
    done = subprocess.run(command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_kernels_settings_read_as_the_kubelet_wants_them_and_are_not_written(tmp_path):
    look = "cat proc/sys/kernel/panic proc/sys/vm/overcommit_memory"
    write = """
        (echo 1 >proc/sys/kernel/panic_on_warn) 2>/dev/null || echo refused
        echo 1 >proc/sys/net/ipv4/ip_forward && cat proc/sys/net/ipv4/ip_forward"""
    script = f"set -e; mkdir proc run; mount -t proc proc proc; {boot.KEEP_KERNEL} {look} {write}"
    before = Path("/proc/sys/kernel/panic").read_text()
    said = in_namespaces(script, tmp_path, SETTINGS="kernel/panic=77 vm/overcommit_memory=7 kernel/no/such=1")
    assert said.split() == ["77", "7", "refused", "1"] and Path("/proc/sys/kernel/panic").read_text() == before


KNOWN = {"fd", "full", "fuse", "kmsg", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"}


def test_the_node_sees_no_disk_and_cannot_ask_the_kernel_for_a_reboot(tmp_path):
    """In the node's /dev the machine's disks were to be found, and to be mounted by a privileged pod."""
    look = """
        find dev -type b; echo .; ls dev; echo .; echo lost >dev/null; echo hello >dev/stdout
        echo .; stat --format %t:%T dev/null proc/sysrq-trigger; [ -c dev/pts/ptmx ]"""
    script = f"set -e; mkdir dev proc; touch proc/sysrq-trigger; {boot.DEVICES} {look}"
    disks, listed, said, null = in_namespaces(script, tmp_path).split(".\n")
    assert disks == "" and set(listed.split()) <= KNOWN
    assert said.strip() == "hello" and null.split() == ["1:3", "1:3"], "not everything that is written there is lost"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities to give up")
def test_what_runs_in_the_node_cannot_load_modules_reboot_or_set_the_clock(monkeypatch):
    entered = machine._enter(1, ["grep", "CapBnd", "/proc/self/status"])
    done = subprocess.run(entered[entered.index("--") + 1 :], capture_output=True, text=True, check=True)
    held = int(done.stdout.split()[1], 16)
    names = {"sys_module": 16, "sys_rawio": 17, "sys_boot": 22, "sys_time": 25}  # capabilities(7)
    assert [name for name, bit in names.items() if held >> bit & 1] == [] and held >> 21 & 1, "sys_admin, which containers need, is there"
    assert " ".join(boot.LESS) in boot.BOOT.splitlines()[-1], "the node's first process has it all"


@pytest.mark.parametrize("quiet", [True, False])
def test_an_end_of_the_link_has_no_ipv6(tmp_path, quiet):
    """One that has been left as it is has an address as soon as it is up, unless the kernel has no IPv6 at all."""
    script = f"""set -e; ip link add a0 type veth peer name b0
        {boot.NO_IPV6.format(link="a0") if quiet else ""}
        ip link set b0 up; ip link set a0 up; ip -6 -oneline address show dev a0; ip -details link show dev a0"""
    said = in_namespaces(script, tmp_path)
    assert ("fe80::" in said, "addrgenmode none" in said) == (not quiet, quiet) or not Path("/proc/sys/net/ipv6").exists()
