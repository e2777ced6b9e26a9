"""Who wins where the label of a namespace and that of a pod say different things: asked of the API server, by dry runs."""

from __future__ import annotations

import pandas as pd

from lab_helpers.core.manifests import load
from lab_helpers.istio import proxies
from lab_helpers.kube import objects
from lab_helpers.kube.kinds import NAMESPACE

POD = "05_injection/01-pod.yaml"
LABEL = "sidecar.istio.io/inject"
OURS = "meshlab.io/asked-for"  # by whom a namespace was made: what a killed run has left is found by it
NAMESPACES = ("", "istio-injection=enabled", "istio-injection=disabled", "istio.io/rev=default", "istio.io/rev=nowhere")
PODS = ("", '"true"', '"false"')
NONE = "no label"


def precedence(lab) -> pd.DataFrame:
    """Ask what would become of one pod, with each value of its label, in a namespace with each label.

    Each namespace is a new one, made with its label and deleted at once: of a label that changes, the API server hears a moment later.

    Returns
    -------
    pandas.DataFrame
        One row a namespace, by its label (``no label``, ``istio-injection=enabled``, …), which is the index; one column a value of
        the pod's label ``sidecar.istio.io/inject`` (``no label``, ``"true"``, ``"false"``); ``sidecar`` or nothing.
    """
    with objects.sentences("precedence"):
        for each in lab.client.list(NAMESPACE, labels={OURS: lab.namespace}):
            lab.client.delete(NAMESPACE, each["metadata"]["name"])
        rows = {label or NONE: _row(lab, label) for label in NAMESPACES}
    return pd.DataFrame(
        rows.values(), index=pd.Index(rows, name="namespace"), columns=pd.Index([each or NONE for each in PODS], name="pod")
    )


def _row(lab, label: str) -> list[str]:
    labels = {OURS: lab.namespace} | (dict([label.split("=")]) if label else {})
    document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": f"{lab.namespace}-asked-", "labels": labels}}
    name = lab.client.create(document)["metadata"]["name"]
    try:
        return ["sidecar" if _injected(lab, name, value) else "" for value in PODS]
    finally:
        lab.client.delete(NAMESPACE, name)


def _injected(lab, namespace: str, value: str) -> bool:
    pod = load(POD)[0]
    if value:
        pod["metadata"]["labels"][LABEL] = value.strip('"')
    return proxies.has_proxy(lab.client.apply(pod, namespace, dry_run=True))
