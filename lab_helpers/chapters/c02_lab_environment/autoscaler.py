"""A HorizontalPodAutoscaler at work: what it measures, what it wants, what is there."""

from __future__ import annotations

import math

import pandas as pd
import yaml

from lab_helpers.core.errors import MeshError
from lab_helpers.core.wait import wait_until
from lab_helpers.kube import objects
from lab_helpers.kube import pods as of_pods
from lab_helpers.kube.kinds import AUTOSCALER, POD

COLUMNS = ["time", "utilization", "wanted", "pods"]


@objects.sentences("Following the autoscaler")
def follow(lab, name: str, pods: int, deadline: float = 180.0) -> pd.DataFrame:
    """Watch the autoscaler `name` until it has measured something, wants `pods` pods, and sees that exactly so many are ready.

    Parameters
    ----------
    name : str
        Of the HorizontalPodAutoscaler, whose target has pods labelled ``app=NAME``.
    pods : int
    deadline : float
        In seconds. It acts on measurements that are up to half a minute old.

    Returns
    -------
    pandas.DataFrame
        One row whenever anything changed:

        - time: UTC
        - utilization: mean use, in percent of the request; NaN while nothing is known
        - wanted: pods that it wants
        - pods: ready pods that there are

    Raises
    ------
    MeshError
        There is no such autoscaler, or it has not come that far: says what it sees, and why it does not act.
    """
    rows: list[tuple] = []

    def there() -> bool:
        found = _read(lab, name)
        ready = _ready(lab, name)
        now = (use(found), found["status"].get("desiredReplicas") or ready, ready)  # 0 stands for: not yet decided
        if not rows or str(rows[-1][1:]) != str(now):
            rows.append((pd.Timestamp.now("UTC"), *now))
        seen = found["status"].get("currentReplicas")  # as of its last round
        return (*now[1:], seen) == (pods, pods, pods) and not math.isnan(now[0])

    def late() -> str:
        said = condition(_read(lab, name))
        why = "" if said.get("status", "True") == "True" else said.get("message", "")
        return f"it sees {rows[-1][1]:g} %, wants {rows[-1][2]}, and {rows[-1][3]} are ready. {why}".strip()

    do = f"kubectl describe hpa {name} says what it has tried; kubectl top pods, whether there is anything to measure."
    wait_until(there, f"{pods} pods of {name}", deadline, every=0.3, late=late, do=do)
    return pd.DataFrame(rows, columns=COLUMNS)


def scalers_of_profile(lab, profile: str) -> pd.DataFrame:
    """The autoscalers of a profile of Istio.

    Returns
    -------
    pandas.DataFrame
        One row a HorizontalPodAutoscaler: deployment, from, to (numbers of pods), measures, target.
    """
    written = yaml.safe_load_all(lab.run(f"istioctl manifest generate --set profile={profile}").stdout)
    return pd.DataFrame([_scaler(each["spec"]) for each in written if each and each["kind"] == "HorizontalPodAutoscaler"])


def _read(lab, name: str) -> dict:
    if found := lab.client.get(AUTOSCALER, name):
        return found
    raise MeshError(f"Namespace {lab.namespace} has no HorizontalPodAutoscaler {name!r}.", "kubectl get hpa lists them.")


def condition(found: dict) -> dict:
    """What the autoscaler says of whether it can act (``ScalingActive``): status and message; empty before it has looked."""
    return next((each for each in found["status"].get("conditions") or [] if each["type"] == "ScalingActive"), {})


def use(found: dict) -> float:
    """Mean use that the autoscaler has measured last, in percent of the request; NaN while nothing is known."""
    for each in found["status"].get("currentMetrics") or []:
        measured = each.get("resource") or each.get("containerResource")
        if measured and "averageUtilization" in measured["current"]:
            return float(measured["current"]["averageUtilization"])
    return float("nan")


def _ready(lab, name: str) -> int:
    return sum(map(of_pods.ready, lab.client.list(POD, labels={"app": name})))


def _scaler(spec: dict) -> dict:
    measures = spec["metrics"][0]["resource"]
    return {
        "deployment": spec["scaleTargetRef"]["name"],
        "from": spec["minReplicas"],
        "to": spec["maxReplicas"],
        "measures": measures["name"],
        "target": f"{measures['target']['averageUtilization']} %",
    }
