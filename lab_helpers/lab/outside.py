"""The world outside of the mesh: three sites under names that nobody has, at addresses that nobody has, with certificates made here.

They are part of the cluster, so that nothing leaves it, and no part of the mesh. Who needs them first makes them; they stay for the next.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import trustme
import yaml
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from lab_helpers.core.manifests import FOLDER, load
from lab_helpers.core.wait import wait_until
from lab_helpers.kube import channels, commands, pods, rollout
from lab_helpers.kube.apply import Change, put
from lab_helpers.kube.client import Client
from lab_helpers.kube.kinds import CONFIG_MAP, DEPLOYMENT, NAMESPACE, POD, SECRET, SERVICE

MANIFEST, OUTSIDE = "shared/outside.yaml", "outside"
SITES = {"coffee": "192.0.2.10", "tea": "198.51.100.10", "lost": "203.0.113.10"}  # one of each range of RFC 5737
AUTHORITY = "outside-ca"  # the ConfigMap with the certificate by which theirs are trusted
LIFETIME, LEFT = timedelta(days=90), timedelta(days=1)
NAMED = "example"  # a namespace, see `_named`


def ensure(lab) -> list[Change]:
    """Have the three sites answer, under their names; what was done."""
    client = Client(lab.client.context, OUTSIDE, lab.client.tools)
    client.require_mark()
    done = [*([] if _well(client) else _make(client)), *_named(client)]
    return [Change(f"{change.what} outside", change.action) for change in done]  # and no diffs, which would show keys


def authority(lab) -> str:
    """The certificate, as PEM, of whoever has signed those of the sites."""
    return lab.client.get(CONFIG_MAP, AUTHORITY, OUTSIDE)["data"]["ca.crt"]


def pod(lab, site: str) -> dict:
    """The pod of a site."""
    return next(each for each in lab.client.list(POD, OUTSIDE, {"site": site}) if pods.ready(each))


def arrivals(lab, site: str) -> int:
    """How many connections and requests have arrived at a site since it was made: TLS counts connections, HTTP requests."""
    path = (
        "/stats?format=json&filter=" + r"^(listener\.0\.0\.0\.0_8443\.ssl\.(handshake|connection_error)|http\.http\.downstream_rq_total)$"
    )
    answer = channels.get_json(lab.client, OUTSIDE, pod(lab, site)["metadata"]["name"], 15000, path)
    return sum(each.get("value", 0) for each in answer["stats"])


def _well(client: Client) -> bool:
    """Whether all of it is there as it should be, and none of the certificates is about to end."""
    found, signer = client.get(NAMESPACE, OUTSIDE), client.get(CONFIG_MAP, AUTHORITY)
    if found is None or pods.leaving(found) or signer is None:
        return False
    there = {each["metadata"]["name"]: each for each in client.list(DEPLOYMENT)}
    ready = client.list(POD)
    services = {each["metadata"]["name"]: each for each in client.list(SERVICE)}
    for site, address in SITES.items():
        secret = client.get(SECRET, site)
        if site not in there or not rollout.done(there[site], ready) or secret is None or not _good(secret, signer):
            return False
        if address not in json.dumps((services.get(site) or {}).get("status", {})):
            return False
    return all(change.action == "unchanged" for change, _ in put(client, _documents(), dry_run=True))


def _make(client: Client) -> list[Change]:
    found = client.get(NAMESPACE, OUTSIDE)
    if found and pods.leaving(found):
        wait_until(lambda: client.get(NAMESPACE, OUTSIDE) is None, f"namespace {OUTSIDE} to be gone", 60, 0.2, do="kubectl get namespace.")
    signer = trustme.CA(organization_name="The world outside")
    made = [_config_map(signer), *(_secret(signer, site) for site in SITES)]
    before = {each["metadata"]["name"]: each for each in client.list(DEPLOYMENT)} if found else {}
    changes = [change for change, _ in put(client, [*_documents(), *made]) if change.action != "unchanged"]
    for name in before:  # a running site reads its certificate when it starts
        commands.run(client, f"kubectl rollout restart deployment {name}")
    addresses = [_status(site, address) for site, address in SITES.items()]
    line = "kubectl apply --server-side --force-conflicts --subresource=status -f -"
    commands.run(client, line, stdin=yaml.safe_dump_all(addresses))
    rollout.complete(client, SITES)
    return changes


def _documents() -> list[dict]:
    """The manifest's objects, those of a site once for each."""
    read = load(MANIFEST, FOLDER)
    texts = [json.dumps(each) for each in read]
    shared = [each for each in texts if "A_SITE" not in each]
    return [json.loads(each) for each in shared] + [
        json.loads(each.replace("A_SITE", site)) for site in SITES for each in texts if "A_SITE" in each
    ]


def _config_map(signer: trustme.CA) -> dict:
    data = {"ca.crt": signer.cert_pem.bytes().decode()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": AUTHORITY, "namespace": OUTSIDE}, "data": data}


def _secret(signer: trustme.CA, site: str) -> dict:
    now = datetime.now(UTC)
    name = f"{site}.example"
    issued = signer.issue_cert(name, common_name=name, not_before=now - timedelta(hours=1), not_after=now + LIFETIME)
    held = {"tls.crt": b"".join(each.bytes() for each in issued.cert_chain_pems), "tls.key": issued.private_key_pem.bytes()}
    return {
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": site, "namespace": OUTSIDE},
        "data": {key: base64.b64encode(value).decode() for key, value in held.items()},
    }  # fmt: skip


def _good(secret: dict, signer: dict) -> bool:
    """Whether a certificate is of this authority (two who came at once may each have made one), and will last."""
    certificate = x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["tls.crt"]))
    try:
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(signer["data"]["ca.crt"].encode()))
    except (ValueError, InvalidSignature):
        return False
    return certificate.not_valid_after_utc - datetime.now(UTC) > LEFT


def _status(site: str, address: str) -> dict:
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": site, "namespace": OUTSIDE},
        "status": {"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}},
    }  # fmt: skip


def _named(client: Client) -> list[Change]:
    """See to it that pods find the sites by name, also where the cluster's DNS has never heard of them, and without touching it.

    The embedded lab's DNS knows them. Elsewhere: a pod completes what it looks up by its search domains, and one of these is
    ``svc.cluster.local``. So a Service ``coffee`` in a namespace ``example`` is found as coffee.example, and one without a
    selector may have any address.
    """
    site = next(each["metadata"]["name"] for each in client.list(POD) if pods.ready(each))
    known = channels.execute(client, site, "site", ["getent", "ahostsv4", "coffee.example."]).stdout
    if SITES["coffee"] in known:
        return []
    return [change for change, _ in put(client, _names()) if change.action != "unchanged"]


def _names() -> list[dict]:
    documents = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMED, "labels": {"istio-injection": "disabled"}}}]
    ports = [{"name": "https", "port": 443}]
    for name, address in SITES.items():
        metadata, of = {"name": name, "namespace": NAMED}, {"kubernetes.io/service-name": name}
        hidden = {"networking.istio.io/exportTo": "~"}
        documents += [
            {
                "apiVersion": "v1", "kind": "Service", "metadata": {**metadata, "annotations": hidden},
                "spec": {"clusterIP": "None", "ports": ports},
            },
            {
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {**metadata, "labels": of},
                "addressType": "IPv4", "ports": ports, "endpoints": [{"addresses": [address]}],
            },
        ]  # fmt: skip
    return documents
