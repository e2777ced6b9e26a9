"""Istio's profiles, by what ``istioctl manifest generate`` makes of them: what each installs, and how two differ.

istioctl 1.31 has no ``profile`` command any more. What it would install is the better answer anyway.
"""

from __future__ import annotations

import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from lab_helpers.core.fields import ABSENT, differences
from lab_helpers.core.manifests import title
from lab_helpers.istio.installation import RECORD, manifest
from lab_helpers.kube.commands import Output

PARTS = {"control plane": "istiod", "ingress": "istio-ingressgateway", "egress": "istio-egressgateway",
         "CNI": "istio-cni-node", "ztunnel": "ztunnel"}  # fmt: skip
WORKLOADS = ("Deployment", "DaemonSet")
# How paths in this table begin, whatever they lead to.
SURE = re.compile(r"^(?:data|spec)\.(?:template\.spec\.containers\.)?")


def profiles(lab, names: list[str]) -> pd.DataFrame:
    """Say what each profile installs.

    Returns
    -------
    pandas.DataFrame
        One row a profile, which is the index; columns ``control plane``, ``ingress``, ``egress``, ``CNI``, ``ztunnel``
        (``✔`` or nothing) and ``objects`` (how many in all).
    """
    with ThreadPoolExecutor(2) as pool:
        made = dict(zip(names, pool.map(lambda name: manifest(lab, name), names), strict=True))
    rows = []
    for documents in made.values():
        workloads = {each["metadata"]["name"] for each in documents if each["kind"] in WORKLOADS}
        rows.append({part: "✔" if name in workloads else "" for part, name in PARTS.items()} | {"objects": len(documents)})
    return pd.DataFrame(rows, index=pd.Index(made, name="profile"))


def compare_profiles(lab, left: str, right: str) -> pd.DataFrame:
    """Say how what two profiles install differs.

    Parameters
    ----------
    left, right : str
        Profiles, or options of ``istioctl install``; see `manifest`.

    Returns
    -------
    pandas.DataFrame
        One row a field that differs: ``object`` (kind and name), ``field`` (without what all of them begin with), and a
        column for either side. An object that only one side has is one row.
    """
    sides = [{title(each): each for each in manifest(lab, options)} for options in (left, right)]
    rows = []
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        before, after = (side.get(name) for side in sides)
        if name == RECORD:
            continue
        if before is None or after is None:
            rows.append((name, "", ABSENT if before is None else "✔", ABSENT if after is None else "✔"))
        else:
            rows += [(name, SURE.sub("", field), *values) for field, *values in differences(before, after)]
    return pd.DataFrame(rows, columns=["object", "field", left, right])


def dump(lab, profile: str) -> Output:
    """Show the settings of a profile, as Helm values: what ``istioctl manifest translate`` writes for istiod."""
    with tempfile.TemporaryDirectory() as folder:
        lab.run(f"istioctl manifest translate --set profile={profile} --output {folder}")
        values = Path(folder, "pilot-values.yaml").read_text(encoding="utf-8")
    return Output(f"istioctl manifest translate --set profile={profile} --output . && cat pilot-values.yaml", values)
