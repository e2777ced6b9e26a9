"""From a booted node to a cluster that pods can use: kubeconfig, images, DNS, metrics."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import yaml

from lab_helpers.core import paths
from lab_helpers.core.errors import HostError, LabError, NodeError
from lab_helpers.core.wait import wait_until
from lab_helpers.kube import objects, pods
from lab_helpers.kube.apply import put
from lab_helpers.kube.client import Client
from lab_helpers.kube.kinds import NAMESPACE, NODE
from lab_helpers.lab import Lab, connect
from lab_helpers.node import files
from lab_helpers.node.build.images import FIRST_STORE, LAYOUTS, STORE
from lab_helpers.node.kubernetes import pki
from lab_helpers.node.machine import Machine, inside

MANIFESTS = Path(__file__).parent / "manifests"
EVERYWHERE = ("default", "kube-system", "kube-public")  # the namespaces that an API server makes by itself, a moment after it is ready


def write_kubeconfig(machine: Machine) -> None:
    """Write the lab's kubeconfig, readable by the invoking user alone.

    Raises
    ------
    HostError
        That user may not write it where it belongs.
    """
    text = yaml.safe_dump(pki.kubeconfig(machine, "admin")).encode()
    with files.as_user():
        paths.make_folder(paths.KUBECONFIG.parent)
        try:
            files.write_private(paths.KUBECONFIG, text)
        except OSError as error:
            what = f"{paths.KUBECONFIG} cannot be written by {paths.USER.pw_name}: {error.strerror}."
            raise HostError(what, f"See whose {paths.KUBECONFIG.parent} is, and that no folder has the name of the file.") from error


def seed_images(machine: Machine) -> None:
    """Give a node that has never run its images, as containerd keeps them: by hard links, since containerd never changes them."""
    store, fresh = machine.state / "containerd", machine.state / "containerd.new"
    if store.exists():
        return
    shutil.rmtree(fresh, ignore_errors=True)
    source = (STORE if STORE.ready else FIRST_STORE).path / "containerd"
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
    """Load the images that are built and that the node does not have, or has in another version; returns how many."""
    listed = subprocess.run(inside(machine, ["ctr", "--namespace", "k8s.io", "images", "list"]), capture_output=True, encoding="utf-8")
    have = {columns[0]: columns[2] for columns in map(str.split, listed.stdout.splitlines()[1:])}
    count = 0
    for layout in (part.path / "layout" for part in LAYOUTS if part.ready):
        index = json.loads((layout / "index.json").read_text(encoding="utf-8"))["manifests"]
        wanted = {m["annotations"]["io.containerd.image.name"]: m["digest"] for m in index}
        missing = [name for name, digest in wanted.items() if have.get(name) != digest]
        if missing:
            _import(machine, layout)
        count += len(missing)
    return count


def _import(machine: Machine, layout: Path) -> None:
    archive = subprocess.Popen(["tar", "--create", "--directory", layout, "."], stdout=subprocess.PIPE)
    command = ["ctr", "--namespace", "k8s.io", "images", "import", "--snapshotter", "overlayfs", "-"]
    with archive.stdout:  # when the reader ends early, tar is to hear of it, and not to wait for us to read
        done = subprocess.run(inside(machine, command), stdin=archive.stdout, capture_output=True, encoding="utf-8")
    if archive.wait() or done.returncode:
        do = "`meshlab up --rebuild images --rebuild later-images` builds them again."
        raise NodeError(f"The images could not be loaded: {done.stderr.strip()[-600:]}", do)


def reach() -> Lab:
    """Connect to the embedded lab, once its API server answers and has made its first namespaces.

    Raises
    ------
    NodeError
        At the deadline, with what the API server said instead.
    """
    said = ""

    def answers() -> Lab | None:
        nonlocal said
        try:
            lab = connect(quiet=True, istio=False)
            with objects.sentences("The first namespaces"):
                missing = [name for name in EVERYWHERE if lab.client.get(NAMESPACE, name) is None]
        except LabError as error:
            said = error.what
            return None
        said = f"there is no namespace {', '.join(missing)}"
        return None if missing else lab

    return wait_until(answers, "the API server to answer", 60, 0.1, lambda: said, NodeError, "See `meshlab logs kube-apiserver`.")


def apply_basics(client: Client) -> None:
    """Create or update DNS, metrics-server and the rule on pulling: they belong to the cluster, be it the course's to change or not."""
    read = [
        document
        for name in ("pull-policy", "coredns", "metrics-server")
        for document in yaml.safe_load_all((MANIFESTS / f"{name}.yaml").read_text(encoding="utf-8"))
    ]
    with client.permitted():
        put(client, read)


def wait_node_ready(client: Client, name: str) -> None:
    """Wait until the node is Ready."""

    def ready() -> bool:
        try:
            with objects.sentences(f"Node {name}"):
                node = client.get(NODE, name)
        except LabError:
            return False
        return node is not None and pods.condition(node, "Ready") == "True"

    wait_until(ready, f"the node {name} to be Ready", seconds=90, error=NodeError, do="See `meshlab logs kubelet`.")
