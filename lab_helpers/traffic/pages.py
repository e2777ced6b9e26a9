"""The pages of the add-ons: which of them are there, and where a browser finds them."""

from __future__ import annotations

import pandas as pd

from lab_helpers.kube.client import Answer
from lab_helpers.traffic import addons


def uis(lab) -> pd.DataFrame:
    """Which add-ons are there, and where a browser finds their pages.

    Returns
    -------
    pandas.DataFrame
        One row each of Kiali, Grafana, Jaeger, Zipkin and Prometheus:

        - name
        - state: ``up``, ``up, without pages`` (it answers programs, and was built without its pages), ``no ready pod`` or
          ``not installed``
        - address: of its pages, where they are open to the outside; empty where they are not
        - command: that opens them otherwise, or installs it
    """
    return pd.DataFrame([_row(lab, name) for name in ("kiali", "grafana", "jaeger", "zipkin", "prometheus")])


def _row(lab, name: str) -> dict:
    service = addons.find(lab.client, name, lab.addons_namespace)
    if service is None:
        return {"name": name, "state": "not installed", "address": "", "command": f"meshlab addons {name}"}
    if not addons.running(lab, service):
        command = f"kubectl get pods -n {lab.addons_namespace}"
        return {"name": name, "state": "no ready pod", "address": "", "command": command}
    if not _pages(addons.ask(lab, name, f"{addons.ADDONS[name].path}/{addons.ADDONS[name].page}")):
        return {"name": name, "state": "up, without pages", "address": "", "command": ""}
    command = f"kubectl port-forward -n {lab.addons_namespace} service/zipkin 9411" if name == "zipkin" else f"istioctl dashboard {name}"
    there = addons.addresses(lab.client, lab.addons_namespace).get(name, "")
    return {"name": name, "state": "up", "address": there and f"{there}{addons.ADDONS[name].path}/", "command": command}


def _pages(answer: Answer) -> bool:
    # Jaeger built without its pages still has one, to say so.
    return answer.status in (200, 302) and "not compiled with the UI" not in answer.text
