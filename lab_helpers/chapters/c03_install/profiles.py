"""Istio's profiles, by what ``istioctl manifest generate`` makes of them: what each installs, and how two differ.

istioctl 1.31 has no ``profile`` command any more. What it would install is the better answer anyway.
"""

from __future__ import annotations

import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import yaml

from lab_helpers.core.fields import ABSENT, differences
from lab_helpers.core.manifests import title
from lab_helpers.kube import commands

PARTS = {"control plane": "istiod", "ingress": "istio-ingressgateway", "egress": "istio-egressgateway",
         "CNI": "istio-cni-node", "ztunnel": "ztunnel"}  # fmt: skip
WORKLOADS = ("Deployment", "DaemonSet")
# What istioctl was told and made of it: it repeats what the other objects say.
RECORD = "ConfigMap values"
# How paths in this table begin, whatever they lead to.
SURE = re.compile(r"^(?:data|spec)\.(?:template\.spec\.containers\.)?")


def manifest(lab, options: str) -> list[dict]:
    """Every object that ``istioctl install`` with `options` would create.

    Parameters
    ----------
    options : str
        As on the command line: ``--set profile=demo``, ``-f FILE``, or both. The word alone names a profile.

    Raises
    ------
    CommandError
        istioctl refuses them: an unknown profile, a malformed file.
    """
    options = options if options.lstrip().startswith("-") else f"--set profile={options}"
    texts = commands.run(lab, f"istioctl manifest generate {options}").stdout.split("\n---\n")
    return [document for document in map(_read, texts) if document]


def _read(text: str) -> dict | None:
    """One document; of a CRD only what it is: all profiles have the same, and their schemas are 20,000 lines."""
    name = re.search(r"^  name: (\S+)$", text, re.MULTILINE)
    if name and re.search(r"^kind: CustomResourceDefinition$", text, re.MULTILINE):
        return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name[1]}}
    return yaml.load(text, yaml.CSafeLoader)


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


def dump(lab, profile: str) -> commands.Output:
    """Show the settings of a profile, as Helm values: what ``istioctl manifest translate`` writes for istiod."""
    with tempfile.TemporaryDirectory() as folder:
        commands.run(lab, f"istioctl manifest translate --set profile={profile} --output {folder}")
        values = Path(folder, "pilot-values.yaml").read_text()
    return commands.Output(f"istioctl manifest translate --set profile={profile} --output . && cat pilot-values.yaml", values)
