"""The components of the embedded node: how each is called, and how it is asked whether it is well."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from lab_helpers.core.errors import NodeError
from lab_helpers.core.wait import wait_until
from lab_helpers.node import machine as node
from lab_helpers.node.build.contained import Say
from lab_helpers.node.kubernetes import pki
from lab_helpers.node.machine import Machine

BINARIES = "/opt/lab/bin"
FOUNDATION = ("etcd", "containerd", "kube-apiserver")


@dataclass(frozen=True)
class Component:
    """One long-running program of the node.

    Attributes
    ----------
    name : str
        The program's name, which is also the name of its process.
    command : sequence of str
        As it is called inside the node.
    health : sequence of str
        A command inside the node that exits with 0 when the component is well.
    """

    name: str
    command: Sequence[str]
    health: Sequence[str]


def _curl(url: str, *more: str | Path) -> list[str]:
    return ["curl", "--silent", "--fail", "--max-time", "2", "--output", "/dev/null", *more, url]


def components(machine: Machine) -> list[Component]:
    """Every component, in the order in which they start."""
    keys, state, etc = pki.folder(machine), machine.state, machine.state / "etc"
    admin = ["--cacert", keys / "ca.crt", "--cert", keys / "admin.crt", "--key", keys / "admin.key"]
    etcd = [f"--{kind}-file={keys}/etcd.{end}" for kind, end in (("cert", "crt"), ("key", "key"))]
    api = {
        "advertise-address": machine.address,
        "bind-address": machine.address,
        "secure-port": 6443,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": "true",
        "service-cluster-ip-range": machine.services,
        "service-node-port-range": "30000-32767",
        "client-ca-file": keys / "ca.crt",
        "tls-cert-file": keys / "apiserver.crt",
        "tls-private-key-file": keys / "apiserver.key",
        "kubelet-certificate-authority": keys / "ca.crt",
        "kubelet-client-certificate": keys / "apiserver-client.crt",
        "kubelet-client-key": keys / "apiserver-client.key",
        "kubelet-preferred-address-types": "InternalIP",
        "etcd-servers": "https://127.0.0.1:2379",
        "etcd-cafile": keys / "ca.crt",
        "etcd-certfile": keys / "etcd.crt",
        "etcd-keyfile": keys / "etcd.key",
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": keys / "service-accounts.pub",
        "service-account-signing-key-file": keys / "service-accounts.key",
        # The aggregation layer, for metrics-server.
        "requestheader-client-ca-file": keys / "ca.crt",
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "proxy-client-cert-file": keys / "front-proxy.crt",
        "proxy-client-key-file": keys / "front-proxy.key",
        "profiling": "false",
    }
    controllers = {
        "kubeconfig": etc / "controller-manager.kubeconfig",
        "authentication-kubeconfig": etc / "controller-manager.kubeconfig",
        "authorization-kubeconfig": etc / "controller-manager.kubeconfig",
        "bind-address": "127.0.0.1",
        "allocate-node-cidrs": "true",
        "cluster-cidr": machine.pods,
        "service-cluster-ip-range": machine.services,
        "use-service-account-credentials": "true",
        "root-ca-file": keys / "ca.crt",
        "service-account-private-key-file": keys / "service-accounts.key",
        "leader-elect": "false",
        # Seconds instead of minutes, so that an autoscaler's decision can be watched.
        "horizontal-pod-autoscaler-sync-period": "2s",
        "horizontal-pod-autoscaler-downscale-stabilization": "30s",
        "horizontal-pod-autoscaler-cpu-initialization-period": "20s",
        "profiling": "false",
    }
    scheduler = {
        "kubeconfig": etc / "scheduler.kubeconfig",
        "authentication-kubeconfig": etc / "scheduler.kubeconfig",
        "authorization-kubeconfig": etc / "scheduler.kubeconfig",
        "bind-address": "127.0.0.1",
        "leader-elect": "false",
        "profiling": "false",
    }

    def called(name: str, flags: dict) -> list[str]:
        return [f"{BINARIES}/{name}", *(f"--{flag}={value}" for flag, value in flags.items())]

    return [
        Component(
            "etcd",
            [
                f"{BINARIES}/etcd", f"--name={machine.name}", f"--data-dir={state}/etcd", "--log-level=warn",
                "--listen-client-urls=https://127.0.0.1:2379", "--advertise-client-urls=https://127.0.0.1:2379",
                "--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
                f"--initial-cluster={machine.name}=http://127.0.0.1:2380", "--listen-metrics-urls=http://127.0.0.1:2381",
                *etcd, "--client-cert-auth=true", f"--trusted-ca-file={keys}/ca.crt",
            ],
            _curl("http://127.0.0.1:2381/readyz"),
        ),
        Component("containerd", ["containerd", "--config", etc / "containerd.toml"], ["ctr", "version"]),
        Component("kube-apiserver", called("kube-apiserver", api), _curl(f"https://{machine.address}:6443/readyz", *admin)),
        Component("kube-controller-manager", called("kube-controller-manager", controllers),
                  _curl("https://127.0.0.1:10257/healthz", "-k")),
        Component("kube-scheduler", called("kube-scheduler", scheduler), _curl("https://127.0.0.1:10259/healthz", "-k")),
        Component("kubelet", called("kubelet", {"config": etc / "kubelet.yaml", "kubeconfig": etc / "kubelet.kubeconfig",
                                               "node-ip": machine.address, "hostname-override": machine.name,
                                               "root-dir": state / "kubelet",
                                               # Twice as often as usual: an autoscaler waits for two looks at a pod.
                                               "housekeeping-interval": "5s"}),
                  _curl("http://127.0.0.1:10248/healthz")),
        Component("kube-proxy", called("kube-proxy", {"config": etc / "kube-proxy.yaml", "hostname-override": machine.name}),
                  _curl("http://127.0.0.1:10256/livez")),
    ]  # fmt: skip


def running(machine: Machine) -> dict[str, int]:
    """Process id, on the host, of each component that is running."""
    names = {component.name for component in components(machine)}
    found: dict[str, int] = {}
    for pid in node.processes(machine):
        try:
            process = psutil.Process(pid)
            name = Path(process.cmdline()[0]).name if process.cmdline() else ""
            # Containers have processes of the same names (CoreDNS' neighbours): a component's parent is the node's init.
            if name in names and process.ppid() == node.init_pid(machine):
                found[name] = pid
        except (psutil.NoSuchProcess, IndexError):
            continue
    return found


def healthy(machine: Machine, component: Component) -> bool:
    """Whether `component` says that it is well."""
    command = node.inside(machine, component.health)
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=5).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def launch(machine: Machine, component: Component) -> None:
    """Start `component` in the node; its output is appended to its log file."""
    log = machine.state / "log" / f"{component.name}.log"
    log.touch(mode=0o600)
    # The shell ends at once, so the node's init becomes the component's parent and outlives this command.
    detached = ["sh", "-c", 'log=$1; shift; exec setsid "$@" </dev/null >>"$log" 2>&1 &', "launch", log, *component.command]
    # Go's collector keeps as much garbage as there is data, unless told. On a small machine memory is dearer than its time.
    subprocess.run(node.inside(machine, ["env", "GOGC=50", *detached]), check=True)


def start(machine: Machine, say: Say, seconds: float = 60) -> None:
    """Start the components that do not run, and wait until all are well.

    Raises
    ------
    NodeError
        When one is not well within `seconds`, or has ended: with the last lines of its log.
    """
    every = components(machine)
    # The API server first: the others give up when its first roles are not there yet.
    foundation = [component for component in every if component.name in FOUNDATION]
    for stage in (foundation, [component for component in every if component not in foundation]):
        alive = running(machine)
        for component in stage:
            if component.name not in alive:
                launch(machine, component)
        for component in stage:
            say(component.name)
            _wait_healthy(machine, component, seconds)


def _wait_healthy(machine: Machine, component: Component, seconds: float) -> None:
    log = machine.state / "log" / f"{component.name}.log"

    def tail() -> str:
        lines = log.read_text(errors="replace", encoding="utf-8").splitlines()[-5:] if log.exists() else []
        return "its last words are\n" + "\n".join(f"    {line[:300]}" for line in lines)

    do = f"See `meshlab logs {component.name}`; `meshlab up` starts it again."

    def well() -> bool:
        if healthy(machine, component):
            return True
        if component.name not in running(machine):
            raise NodeError(f"{component.name} has ended: {tail()}", do)
        return False

    wait_until(well, component.name, seconds, late=tail, error=NodeError, do=do)
