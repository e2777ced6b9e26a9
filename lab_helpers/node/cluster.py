"""From a booted node to a cluster that pods can use: images, DNS, metrics."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import yaml

from lab_helpers.core.errors import ClusterError, NodeError
from lab_helpers.core.wait import wait_until
from lab_helpers.core import paths
from lab_helpers.node import pki
from lab_helpers.node.build.images import IMAGE_STORE, LAYOUT
from lab_helpers.node.machine import Machine, inside


def kubectl(*arguments: str | Path, kubeconfig: Path = paths.KUBECONFIG, stdin: str | None = None, context: str | None = None) -> str:
    """Run kubectl and return what it printed.

    Raises
    ------
    ClusterError
        When it exits with an error, with its own words.
    """
    target = ["--kubeconfig", kubeconfig, *(["--context", context] if context else [])]
    done = subprocess.run([paths.BIN / "kubectl", *target, *arguments], input=stdin, capture_output=True, text=True)
    if done.returncode:
        raise ClusterError(f"kubectl {' '.join(map(str, arguments))}: {done.stderr.strip()}")
    return done.stdout


def write_kubeconfig(machine: Machine) -> None:
    """Write the lab's kubeconfig, readable by the invoking user alone."""
    paths.make_folder(paths.KUBECONFIG.parent)
    pki.write_private(paths.KUBECONFIG, yaml.safe_dump(pki.kubeconfig(machine, "admin")).encode())
    paths.give_to_user(paths.KUBECONFIG)


def seed_images(machine: Machine) -> None:
    """Give a node that has never run its images, as containerd keeps them: by hard links, since containerd never changes them."""
    store, fresh = machine.state / "containerd", machine.state / "containerd.new"
    if store.exists():
        return
    shutil.rmtree(fresh, ignore_errors=True)
    source = IMAGE_STORE.path / "containerd"
    linked = subprocess.run(["cp", "--archive", "--link", source, fresh], capture_output=True)
    if linked.returncode:  # the cache is on another file system
        shutil.rmtree(fresh, ignore_errors=True)
        subprocess.run(["cp", "--archive", source, fresh], check=True)
    for database in source.rglob("*.db"):  # but its databases it does change
        copy = fresh / database.relative_to(source)
        copy.unlink()
        shutil.copy2(database, copy)
    fresh.rename(store)


def import_images(machine: Machine) -> int:
    """Load the images that the node does not have, or has in another version; returns how many."""
    layout = LAYOUT.path / "layout"
    index = json.loads((layout / "index.json").read_text())["manifests"]
    wanted = {m["annotations"]["io.containerd.image.name"]: m["digest"] for m in index}
    listed = subprocess.run(inside(machine, ["ctr", "--namespace", "k8s.io", "images", "list"]), capture_output=True, text=True)
    have = {columns[0]: columns[2] for columns in map(str.split, listed.stdout.splitlines()[1:])}
    missing = [name for name, digest in wanted.items() if have.get(name) != digest]
    if missing:
        archive = subprocess.Popen(["tar", "--create", "--directory", layout, "."], stdout=subprocess.PIPE)
        command = ["ctr", "--namespace", "k8s.io", "images", "import", "--snapshotter", "overlayfs", "-"]
        done = subprocess.run(inside(machine, command), stdin=archive.stdout, capture_output=True, text=True)
        if archive.wait() or done.returncode:
            raise NodeError(
                f"The images could not be loaded: {done.stderr.strip()[-600:]}",
                "`meshlab up --rebuild images` builds them again.",
            )
    return len(missing)


def wait_node_ready(machine: Machine) -> None:
    """Wait until the node is Ready."""

    def ready() -> bool:
        try:
            node = json.loads(kubectl("get", "node", machine.name, "--output", "json"))
        except ClusterError:
            return False
        return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))

    wait_until(ready, f"the node {machine.name} to be Ready", seconds=90, error=NodeError, do="See `meshlab logs kubelet`.")


def apply_addons() -> None:
    """Create or update the cluster's DNS and metrics-server."""
    folder = files(__package__) / "cluster"
    text = "\n---\n".join((folder / name).read_text() for name in ("coredns.yaml", "metrics-server.yaml"))
    kubectl("apply", "--server-side", "--force-conflicts", "--filename", "-", stdin=text)


def wait_available(namespace: str, deployments: Sequence[str] = (), seconds: float = 180, **target) -> None:
    """Wait until `deployments` (all of `namespace`, when none is named) have every replica updated and available.

    Raises
    ------
    ClusterError
        At the deadline, naming those that are late and what their pods say.
    """

    def late() -> list[str]:
        found = json.loads(kubectl("get", "deployments", "--namespace", namespace, "--output", "json", **target))["items"]
        missing = set(deployments) - {d["metadata"]["name"] for d in found}
        waiting = [d["metadata"]["name"] for d in found if not _available(d) and (not deployments or d["metadata"]["name"] in deployments)]
        return sorted({*missing, *waiting})

    def why() -> str:
        return f"{', '.join(late())} of namespace {namespace}; {_troubles(namespace, **target)}"

    wait_until(lambda: not late(), "deployments", seconds, every=0.2, late=why, error=ClusterError)


def _available(deployment: dict) -> bool:
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    observed = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    return observed and status.get("updatedReplicas", 0) == status.get("availableReplicas", 0) == status.get("replicas", 0) == wanted


def _troubles(namespace: str, **target) -> str:
    """What the pods that are not ready give as the reason."""
    reasons = []
    for pod in json.loads(kubectl("get", "pods", "--namespace", namespace, "--output", "json", **target))["items"]:
        for container in pod["status"].get("containerStatuses", []) + pod["status"].get("initContainerStatuses", []):
            for state in container["state"].values():
                if state.get("reason") not in (None, "Completed"):
                    reasons.append(
                        f"{pod['metadata']['name']}/{container['name']}: {state['reason']} {state.get('message', '')[:120]}".strip()
                    )
    return "; ".join(reasons) or "no container gives a reason"
