"""How a pod comes by its sidecar: what the webhook adds, where the pod's traffic then goes, and what tells that one is missing."""

from __future__ import annotations

import difflib
import re

import pandas as pd
import yaml

from lab_helpers.core.errors import MeshError
from lab_helpers.core.fields import differences
from lab_helpers.core.wait import wait_until_none
from lab_helpers.istio import proxies
from lab_helpers.kube import pods, rollout
from lab_helpers.kube.apply import Change, Outcome
from lab_helpers.kube.commands import Output
from lab_helpers.kube.kinds import POD

# The API server's own doing, new with each answer: uid and time, and the name of the volume with the account's token.
PASSING = re.compile(r"^  (?:uid|creationTimestamp): .*\n|(?<=kube-api-access)-\w{5}\b", re.MULTILINE)
ENDED = 60.0  # seconds for a pod to end; the kubelet gives it 30


def dry_run(lab, name: str) -> Output:
    """Show the object of a manifest as the API server, after all webhooks, *would* store it; nothing is stored."""
    answer = lab.run(f"kubectl create --dry-run=server -o yaml -f {name}")
    return Output(answer.command, PASSING.sub("", answer.stdout))


def changed(before: Output, after: Output) -> pd.DataFrame:
    """In which fields two answers of `dry_run` differ: columns ``before`` and ``after``, by field, the containers first."""
    rows = sorted(differences(yaml.safe_load(before.stdout), yaml.safe_load(after.stdout)), key=lambda row: "ontainers" not in row[0])
    return pd.DataFrame(rows, columns=["field", "before", "after"]).set_index("field")


def line_by_line(before: str, after: str, what: str) -> Outcome:
    """The unified diff of two YAML texts, whatever their order and their style, to be folded out; `what` names it."""
    old, new = (_in_order(each) for each in (before, after))
    lines = list(difflib.unified_diff(old, new, "before", "after", lineterm="", n=2))
    added, removed = (sum(line.startswith(sign) for line in lines[2:]) for sign in "+-")
    change = Change(f"{what} ({added} lines added, {removed} removed)", "configured", "\n".join(lines))
    return Outcome("diff --unified=2 before after", [change])


def lines(text: str) -> int:
    """How many lines a YAML text has, comments aside."""
    return len(_in_order(text))


def _in_order(text: str) -> list[str]:
    documents = [each for each in yaml.load_all(text, yaml.CSafeLoader) if each]
    return yaml.safe_dump_all(documents, width=1000, allow_unicode=True).splitlines()


def renewed(lab, deployment: str) -> Output:
    """Wait until a Deployment has new pods, and nothing of its old ones is left; then show the pods of the namespace.

    Raises
    ------
    MeshError
        The new pods do not start, or the old ones do not end; says why.
    """
    rollout.complete(lab.client, [deployment])

    def going() -> list[str]:
        return [
            pod["metadata"]["name"] for pod in lab.client.list(POD) if pods.leaving(pod) and owner(pod["metadata"]["name"]) == deployment
        ]

    wait_until_none(going, "the old pods to end", "See why: kubectl describe pod NAME.", ENDED, 0.1)
    return lab.run("kubectl get pods")


def redirection(lab, deployment: str) -> Output:
    """The rules by which a pod's traffic is sent through its sidecar, from the log of ``istio-init``, which made them.

    Raises
    ------
    MeshError
        No pod of the Deployment has a sidecar, or the log tells of no rules.
    """
    # kubectl logs deployment/NAME would choose for itself, perhaps a pod that is on its way out.
    meshed = [
        pod["metadata"]["name"]
        for pod in lab.client.list(POD)
        if owner(pod["metadata"]["name"]) == deployment and pods.ready(pod) and proxies.has_proxy(pod)
    ]
    if not meshed:
        raise MeshError(f"{deployment} has no ready pod with a sidecar.", "See kubectl get pods: is it older than the label?")
    log = lab.run(f"kubectl logs {meshed[0]} -c istio-init")
    found = re.search(r"Final iptables state \(IPv4\):\n.*?^(\*nat\n.*?^COMMIT)", log.stdout, re.DOTALL | re.MULTILINE)
    if not found:
        raise MeshError(f"istio-init of {deployment} tells of no rules.", "With Istio's CNI plugin, they are in the log of istio-cni-node.")
    return Output(log.command, re.sub(r" \[\d+:\d+\]$", "", found[1], flags=re.MULTILINE))


def owner(pod: str) -> str:
    """The Deployment of a pod, by the pod's name."""
    return pod.rsplit("-", 2)[0]


def ports(rules: Output) -> dict[str, int]:
    """Read out of `redirection` where traffic goes: ``outbound`` and ``inbound`` port, and ``exempt``, the user that is left alone.

    Raises
    ------
    MeshError
        These are other rules, or something else.
    """
    wanted = {
        "outbound": r"-A ISTIO_REDIRECT .*--to-ports (\d+)",
        "inbound": r"-A ISTIO_IN_REDIRECT .*--to-ports (\d+)",
        "exempt": r"-A ISTIO_OUTPUT -m owner --uid-owner (\d+) -j RETURN",
    }
    found = {name: re.search(rule, rules.stdout) for name, rule in wanted.items()}
    if missing := [name for name, rule in found.items() if rule is None]:
        raise MeshError(f"{rules.command} has printed no rule for {missing[0]}.", "redirection(lab, DEPLOYMENT) prints them.")
    return {name: int(rule[1]) for name, rule in found.items()}


def verdicts(lab) -> pd.DataFrame:
    """Ask all that can be asked about each pod's sidecar, and set it beside the truth.

    Returns
    -------
    pandas.DataFrame
        One row a pod, which is the index:

        - sidecar: whether the pod has one
        - analyze: the code of what ``istioctl analyze`` says of the pod, or nothing
        - check-inject: ``✔`` or ``✘``, what the webhook would do to such a pod today
        - proxy-status: whether the proxy is connected
    """
    there = {pod["metadata"]["name"]: pod for pod in lab.client.list(POD) if not pods.leaving(pod)}
    analysis = lab.run("istioctl analyze").stdout
    said = {pod: code for code, pod in re.findall(r"\[(IST\d+)\] \(Pod \S+?/(\S+?)\)", analysis)}
    listed = lab.run("istioctl proxy-status").stdout
    rows = []
    for name in sorted(there):
        verdict = "✔" if "✔" in lab.run(f"istioctl experimental check-inject {name}").stdout else "✘"
        rows.append((name, proxies.has_proxy(there[name]), said.get(name, ""), verdict, f"{name}.{lab.namespace}" in listed))
    return pd.DataFrame(rows, columns=["pod", "sidecar", "analyze", "check-inject", "proxy-status"]).set_index("pod")
