"""Kubeconfigs on disk, for tests without a cluster."""

from pathlib import Path

import yaml

SERVER = "https://127.0.0.1:1"


def write(path: Path, *names: str, current: str = "", server: str = SERVER, user: dict | None = None, **more) -> Path:
    """A kubeconfig with a context, a cluster and a user of each name; `more` is what the clusters have besides."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "clusters": [{"name": name, "cluster": {"server": server, **more}} for name in names],
        "users": [{"name": name, "user": user or {"token": path.name}} for name in names],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in names],
        **({"current-context": current} if current else {}),
    }
    path.write_text(yaml.safe_dump(document))
    return path
