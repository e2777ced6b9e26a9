"""Time to effect by kind, forty objects each: ``make bench PART=kinds`` prints it.

istiod writes into the status of some, such as the addresses of a ServiceEntry: what was written is soon not the last version.
HTTPRoutes need the Gateway API's kinds, which come from the module that istiod is compiled with, and go afterwards.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lab_helpers.core import paths
from lab_helpers.istio import apply
from lab_helpers.lab import checkpoint, connect
from lab_helpers.lab.chapters import CLIENTS
from tests.live import kubectl

NAMESPACE, TIMES = "bench-kinds", 40
NETWORKING, GATEWAY_API = "networking.istio.io/v1", "gateway.networking.k8s.io/v1"


def specs(number: int) -> dict[tuple[str, str], dict]:
    """One object of each kind, none of which changes what another says."""
    host, domain = f"k{number}", f"k{number}.example"
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": [domain]}
    port = {"number": 443, "name": "tls", "protocol": "TLS"}
    return {
        (NETWORKING, "ServiceEntry"): {"hosts": [f"outside.{domain}"], "ports": [port], "resolution": "DNS"},
        (NETWORKING, "Gateway"): {"selector": {"istio": "ingressgateway"}, "servers": [server]},
        (NETWORKING, "VirtualService"): {"hosts": [domain], "http": [{"route": [{"destination": {"host": host}}]}]},
        (GATEWAY_API, "HTTPRoute"): {
            "parentRefs": [{"kind": "Service", "group": "", "name": "client", "port": 80}],
            "rules": [{"matches": [{"path": {"value": f"/{host}"}}], "backendRefs": [{"name": "client", "port": 80}]}],
        },
    }


@contextmanager
def gateway_api():
    """The Gateway API's kinds, unless the cluster has them."""
    if kubectl("get", "crd", "httproutes.gateway.networking.k8s.io", "--ignore-not-found"):
        yield
        return
    [folder] = (paths.CACHE / "go" / "mod" / "sigs.k8s.io").glob("gateway-api@*/config/crd/standard")
    kinds = [str(each) for each in sorted(Path(folder).glob("*.yaml"))]
    files = [option for each in kinds for option in ("--filename", each)]
    kubectl("apply", "--server-side", *files)
    try:
        kubectl("wait", "--for=condition=Established", "crd", "httproutes.gateway.networking.k8s.io", "--timeout=30s")
        yield
    finally:
        kubectl("delete", "--ignore-not-found", "--wait=true", *files, timeout=120)


def main() -> None:
    """Print for each kind how long applying and deleting took."""
    lab = connect(namespace=NAMESPACE, quiet=True)
    try:
        checkpoint.reach(lab, "a client", CLIENTS[:1])
        spec = {"ports": [{"name": "http", "port": 80}], "selector": {"app": "client"}}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "client"}, "spec": spec}
        kubectl("apply", "--namespace", NAMESPACE, "--filename", "-", stdin=json.dumps(service))
        with gateway_api():
            for what in specs(0):
                took: dict[str, list[float]] = {"applied": [], "deleted": []}
                for number in range(TIMES):
                    document = {"apiVersion": what[0], "kind": what[1], "metadata": {"name": f"k{number}"}, "spec": specs(number)[what]}
                    for how, change in (("applied", apply.write), ("deleted", apply.erase)):
                        began = time.monotonic()
                        change(lab, [document])
                        took[how].append(time.monotonic() - began)
                for how, seconds in took.items():
                    p50, p99 = np.quantile(seconds, [0.5, 0.99])
                    print(f"{what[1]} {how}, {TIMES} times: p50 {p50:.2f} s, p99 {p99:.2f} s, slowest {max(seconds):.2f} s", flush=True)
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", timeout=120)


if __name__ == "__main__":
    main()
