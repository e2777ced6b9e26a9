"""Kinds of Kubernetes objects: ``apiVersion`` and ``kind``, which is how the API server tells them apart."""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """One kind, as it stands in a manifest."""

    apiVersion: str  # noqa: N815
    kind: str

    @classmethod
    def of(cls, document: dict) -> Kind:
        """The kind of an object."""
        return cls(document["apiVersion"], document["kind"])

    @property
    def group(self) -> str:
        """The API group; empty for Kubernetes' oldest kinds."""
        return self.apiVersion.rpartition("/")[0]

    def __str__(self) -> str:
        return self.kind


CONFIG_MAP = Kind("v1", "ConfigMap")
NAMESPACE = Kind("v1", "Namespace")
NODE = Kind("v1", "Node")
POD = Kind("v1", "Pod")
SERVICE = Kind("v1", "Service")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount")
SECRET = Kind("v1", "Secret")
DEPLOYMENT = Kind("apps/v1", "Deployment")
REPLICA_SET = Kind("apps/v1", "ReplicaSet")
AUTOSCALER = Kind("autoscaling/v2", "HorizontalPodAutoscaler")
ENDPOINT_SLICE = Kind("discovery.k8s.io/v1", "EndpointSlice")
NETWORK_POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy")
ACCESS_REVIEW = Kind("authorization.k8s.io/v1", "SelfSubjectAccessReview")
ROLE = Kind("rbac.authorization.k8s.io/v1", "Role")
ROLE_BINDING = Kind("rbac.authorization.k8s.io/v1", "RoleBinding")
CUSTOM_RESOURCE_DEFINITION = Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")
MUTATING_WEBHOOKS = Kind("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration")
VALIDATING_WEBHOOKS = Kind("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration")
