"""The configuration of the components that read it from files: kubelet, kube-proxy, containerd and its network plugins."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from lab_helpers.node.build.images import PAUSE_IMAGE
from lab_helpers.node.kubernetes import pki
from lab_helpers.node.machine import Machine, cgroups

CONTAINERD = """
version = 2
root = "{state}/containerd"
state = "/run/containerd"
disabled_plugins = [
    "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp", "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
# Without CAP_SYS_RESOURCE (common in sandboxes) runc dies when it lowers an OOM score.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/opt/cni/bin"
conf_dir = "/etc/cni/net.d"
"""


def write(machine: Machine) -> None:
    """Write the configuration files and kubeconfigs of the components into the node's state."""
    etc, keys = machine.state / "etc", pki.folder(machine)
    etc.mkdir(mode=0o700, exist_ok=True)
    for user in ("controller-manager", "scheduler", "proxy", "kubelet"):
        pki.write_private(etc / f"{user}.kubeconfig", yaml.safe_dump(pki.kubeconfig(machine, user)).encode())
    kubelet = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{keys}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{keys}/kubelet.crt",
        "tlsPrivateKeyFile": f"{keys}/kubelet.key",
        "clusterDomain": "cluster.local",
        "clusterDNS": [machine.dns],
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroups.NAME}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "podLogsDir": f"{machine.state}/log/pods",
        "registerNode": True,
        # This file system is shared with everything else on the machine: evicting pods would not free it.
        "evictionHard": {"memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
        "imageMinimumGCAge": "8760h",
        "serializeImagePulls": False,
        "nodeStatusUpdateFrequency": "5s",
        "shutdownGracePeriod": "0s",
        "maxPods": 200,
    }
    proxy = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "bindAddress": machine.address,
        "clusterCIDR": machine.pods,
        "clientConnection": {"kubeconfig": f"{etc}/proxy.kubeconfig"},
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        # nf_conntrack_max can only be written in the host's network namespace: leave all of them alone.
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "iptables": {"minSyncPeriod": "100ms"},
    }
    _write(etc / "kubelet.yaml", yaml.safe_dump(kubelet))
    _write(etc / "kube-proxy.yaml", yaml.safe_dump(proxy))
    _write(etc / "containerd.toml", CONTAINERD.format(state=machine.state, pause=PAUSE_IMAGE))
    network = {
        "cniVersion": "1.0.0",
        "name": "meshlab",
        "plugins": [
            # ptp, because bridge needs br_netfilter, which is not everywhere.
            {
                "type": "ptp",
                "mtu": 1500,
                "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": machine.node_pods}]],
                         "routes": [{"dst": "0.0.0.0/0"}]},
            },
            {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
        ],
    }  # fmt: skip
    cni = machine.state / "cni"
    cni.mkdir(exist_ok=True)
    _write(cni / "10-meshlab.conflist", json.dumps(network, indent=2))


def _write(path: Path, text: str) -> None:
    """Write `path` unless it says that already: kube-proxy ends when its file is written, and `up` may break off before it is started."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
