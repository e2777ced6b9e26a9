"""A cluster of objects at hand, and the objects, for tests without a cluster."""


class Cluster:
    """A lab, its client too, whose objects are these: by kind, each list in the lab's own namespace."""

    namespace = "default"

    def __init__(self, objects, run=None, raw=None):
        self.objects, self.client, self.run, self.raw = objects, self, run, raw

    def list(self, kind, namespace=None, labels=None):
        wanted = (labels or {}).items()
        return [each for each in self.objects.get(kind, []) if wanted <= (each["metadata"].get("labels") or {}).items()]

    def get(self, kind, name, namespace=None):
        return next((each for each in self.list(kind) if each["metadata"]["name"] == name), None)


def pod(name, ready=True, spec=None, status=None, **labels):
    return {
        "metadata": {"name": name, "namespace": "default", **({"labels": labels} if labels else {})},
        "spec": {"containers": [{"name": "app"}], **(spec or {})},
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}], **(status or {})},
    }


def named(name, **rest):
    return {"metadata": {"name": name}, **rest}
