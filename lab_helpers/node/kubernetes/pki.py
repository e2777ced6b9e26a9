"""The certificates of the embedded cluster: one authority, a certificate for each component, kept in the node's state."""

from __future__ import annotations

import base64
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from lab_helpers.node.files import write_private
from lab_helpers.node.machine import Machine


def folder(machine: Machine) -> Path:
    """Where the keys and certificates are."""
    return machine.state / "pki"


def create(machine: Machine) -> None:
    """Make every key and certificate that the cluster's components need, unless they exist.

    The names and groups are those that Kubernetes' own authorization expects
    (https://kubernetes.io/docs/setup/best-practices/certificates/).
    """
    pki = folder(machine)
    if (pki / "complete").exists():
        return
    pki.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = trustme.CA(organization_name="meshlab")
    authority.cert_pem.write_to_path(pki / "ca.crt")
    first_service = machine.services.rsplit(".", 2)[0] + ".0.1"
    in_cluster = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    # name of the files: (identities, common name, organization: Kubernetes reads the last two as user and group)
    certificates = {
        "apiserver": ([machine.address, first_service, "127.0.0.1", "localhost", *in_cluster], "kube-apiserver", None),
        "etcd": (["127.0.0.1", "localhost"], "etcd", None),
        "kubelet": ([machine.address, machine.name], f"system:node:{machine.name}", "system:nodes"),
        "apiserver-client": ([], "kube-apiserver", "system:masters"),
        "admin": ([], "kubernetes-admin", "system:masters"),
        "controller-manager": ([], "system:kube-controller-manager", None),
        "scheduler": ([], "system:kube-scheduler", None),
        "proxy": ([], "system:kube-proxy", None),
        "front-proxy": ([], "front-proxy-client", None),
    }
    for name, (identities, user, group) in certificates.items():
        # Go refuses a certificate whose (critical) list of alternative names is empty, so clients have one as well.
        certificate = authority.issue_cert(*(identities or [f"{name}.meshlab"]), common_name=user, organization_name=group or "meshlab")
        write_private(pki / f"{name}.crt", b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        write_private(pki / f"{name}.key", certificate.private_key_pem.bytes())
    signer = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    write_private(
        pki / "service-accounts.key",
        signer.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    )
    public = signer.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (pki / "service-accounts.pub").write_bytes(public)
    (pki / "complete").touch()


def kubeconfig(machine: Machine, user: str) -> dict:
    """A kubeconfig, as a mapping, that holds its certificates itself, for the user of the certificate named `user`."""

    def data(name: str) -> str:
        return base64.b64encode((folder(machine) / name).read_bytes()).decode()

    cluster = {"server": f"https://{machine.address}:6443", "certificate-authority-data": data("ca.crt")}
    credentials = {"client-certificate-data": data(f"{user}.crt"), "client-key-data": data(f"{user}.key")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "meshlab",
        "clusters": [{"name": "meshlab", "cluster": cluster}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": "meshlab", "context": {"cluster": "meshlab", "user": user, "namespace": "default"}}],
    }
