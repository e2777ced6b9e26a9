"""A rule for an address, which no manifest can name beforehand."""

from __future__ import annotations

from dataclasses import replace

from lab_helpers.core import text
from lab_helpers.core.errors import TrafficError
from lab_helpers.core.manifests import beside, find, load, title
from lab_helpers.istio import apply
from lab_helpers.kube import objects, pods
from lab_helpers.kube.apply import Manifest, Outcome

PLACE = "192.0.2.1"  # in the manifest: an address of documentation, which nobody has


@objects.sentences("A rule for an address")
def apply_for_address_of(lab, app: str, manifest: str) -> Outcome:
    """Apply `manifest` with the address of the pod of `app` in place of 192.0.2.1.

    Raises
    ------
    TrafficError
        The app has no ready pod.
    """
    pod = pods.ready_pod(lab.client, app)
    if pod is None:
        raise TrafficError(f"There is no ready pod {app!r} in namespace {lab.namespace}.", "kubectl get pods lists them.")
    address = pod["status"]["podIP"]
    documents = [_with(each, address) for each in load(manifest)]
    done = apply.write(lab, documents, f"sed 's/{PLACE}/{address}/' manifests/{manifest} | kubectl apply --server-side -f -")
    return replace(
        done, manifests=[Manifest(manifest, text.read(find(manifest), manifest), [title(each) for each in documents], beside(manifest))]
    )


def _with(value, address: str):
    if isinstance(value, dict):
        return {name: _with(each, address) for name, each in value.items()}
    if isinstance(value, list):
        return [_with(each, address) for each in value]
    return address if value == PLACE else value
