"""What chapter 08 begins with beside its namespace: a client whose proxy has not counted a failed request yet."""

from __future__ import annotations

from lab_helpers.core.errors import QueryError
from lab_helpers.core.wait import wait_until_none
from lab_helpers.kube.apply import Change
from lab_helpers.kube.kinds import POD
from lab_helpers.traffic import prometheus

FAILED = 'istio_requests_total{{source_workload="client",source_workload_namespace="{}",response_code=~"5.."}}'
GONE = 60.0  # seconds for a pod to end, and for Prometheus to notice


def fresh_client(lab) -> list[Change]:
    """Replace the pod `client` where its proxy has counted failed requests, so that the chapter's first one begins a new series."""

    def counted() -> list[str]:
        try:
            found = prometheus.promql(lab, FAILED.format(lab.namespace))
        except QueryError:  # no Prometheus: what needs it says so itself
            return []
        return list(found.get("pod", []))

    pods = [each["metadata"]["name"] for each in lab.client.list(POD, labels={"app": "client"})]
    old = sorted({*pods} & {*counted()})
    for name in old:
        lab.client.delete(POD, name)
    if old:
        wait_until_none(counted, "the counters of the old client to be gone", "See lab.promql('up') and kubectl get pods.", GONE, 0.2)
    return [Change(f"Pod {name}", "deleted") for name in old]
