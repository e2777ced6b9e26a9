"""The container images of the lab, built from Containerfiles into one OCI layout whose layers they share."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from lab_helpers.core.errors import BuildError
from lab_helpers.node.build import applications, contained
from lab_helpers.node.build.binaries import ENVOY, FORTIO, HTTPBIN, ISTIO, ISTIO_SOURCES, JAEGER, NODE_PROXY, PAUSE, PROMETHEUS, ZIPKIN
from lab_helpers.node.build.contained import Say
from lab_helpers.node.build.debian import BASE, NODE_ROOT
from lab_helpers.node.build.store import Part, every
from lab_helpers.node.build.versions import VERSIONS

FOLDER = Path(__file__).parent / "images"
# Whoever lays out file systems of other users is root: buildah, from Debian, and tar and containerd in the node's own root.
call = partial(contained.call, as_user=False)
PAUSE_IMAGE = "registry.k8s.io/pause:lab"


@dataclass(frozen=True)
class Image:
    """One image: its full name as manifests ask for it, its Containerfile's folder, its context, its build arguments."""

    reference: str
    folder: str
    context: Part
    arguments: dict[str, str] = field(default_factory=dict)


def _files(**sources: tuple[Part, str]) -> Callable[[Path, Say, Path], None]:
    """A context that holds copies of the named files of other parts."""

    def fill(context: Path, say: Say, log: Path) -> None:
        for name, (part, path) in sources.items():
            shutil.copy2(part.path / path, context / name.replace("__", ".").replace("_", "-"))

    return fill


# What is changed in Istio's template of Envoy's bootstrap.
BOOTSTRAP = {
    # Istio's workload-metadata extension is compiled into Istio's Envoy only; the template asks for it in waypoints and gateways.
    "{{- if .metadata_discovery }}": "{{- if false }}",
    # Histograms are shown as of the last flush: with the default of 5 s whoever asks for latencies waits that long.
    "{{- if .stats_flush_interval }}": '{{- if not .stats_flush_interval }}\n  "stats_flush_interval": "1s",\n  {{- else }}',
}


def _proxy(context: Path, say: Say, log: Path) -> None:
    shutil.copy2(ENVOY.path / "envoy/_bin/envoy", context / "envoy")
    os.chmod(context / "envoy", 0o755)
    shutil.copy2(ISTIO.path / "pilot-agent", context)
    template = (ISTIO_SOURCES.path / "tools/packaging/common/envoy_bootstrap.json").read_text(encoding="utf-8")
    for old, new in BOOTSTRAP.items():
        if old not in template:
            raise BuildError(
                f"Istio's bootstrap template holds no {old!r}.", "Look how it says so now, and correct BOOTSTRAP in images.py."
            )
        template = template.replace(old, new)
    (context / "envoy_bootstrap.json").write_text(template, encoding="utf-8")


def _context(name: str, fill, *needs: Part, inputs: tuple[str, ...] = ()) -> Part:
    return Part(f"context-{name}", fill, (FOLDER / name, *inputs), needs)


def _application(name: str) -> Part:
    fill = getattr(applications, name)
    return _context(
        name,
        lambda context, say, log: fill(ISTIO_SOURCES.path, context, say, log),
        ISTIO_SOURCES,
        inputs=(inspect.getsource(fill),),
    )


ISTIO_TAG, HUB = VERSIONS["istio"]["version"], VERSIONS["istio"]["hub"]
REVIEWS = _application("reviews")
BOOKINFO = f"{HUB}/examples-bookinfo"
# What the first page needs, and so is built first.
FIRST = (
    Image(PAUSE_IMAGE, "pause", _context("pause", _files(pause=(PAUSE, "pause")), PAUSE)),
    Image(f"{HUB}/pilot:{ISTIO_TAG}", "pilot", _context("pilot", _files(pilot_discovery=(ISTIO, "pilot-discovery")), ISTIO)),
    Image(f"{HUB}/proxyv2:{ISTIO_TAG}", "proxyv2", Part("context-proxyv2", _proxy, (repr(BOOTSTRAP),), (ENVOY, ISTIO, ISTIO_SOURCES))),
    Image(f"{BOOKINFO}-productpage-v1:1.20.3", "productpage", _application("productpage")),
    Image(f"{BOOKINFO}-details-v1:1.20.3", "details", _application("details")),
    Image(f"{BOOKINFO}-ratings-v1:1.20.3", "ratings", _application("ratings")),
    # One after the other: v2 and v3 are made from the image of v1.
    *(
        Image(f"{BOOKINFO}-reviews-{version}:1.20.3", "reviews" if version == "v1" else "reviews-stars", REVIEWS, arguments)
        for version, arguments in applications.REVIEWS_VERSIONS.items()
    ),
)  # fmt: skip
LATER = (
    Image(
        f"{HUB}/install-cni:{ISTIO_TAG}",
        "install-cni",
        _context("install-cni", _files(install_cni=(ISTIO, "install-cni"), istio_cni=(ISTIO, "istio-cni")), ISTIO),
    ),
    Image(f"{HUB}/app:{ISTIO_TAG}", "app", _context("app", _files(server=(ISTIO, "server"), client=(ISTIO, "client")), ISTIO)),
    Image("docker.io/mccutchen/go-httpbin:v2.15.0", "httpbin", _context("httpbin", _files(go_httpbin=(HTTPBIN, "go-httpbin")), HTTPBIN)),
    Image("docker.io/fortio/fortio:1.68.2", "fortio", _context("fortio", _files(fortio=(FORTIO, "fortio")), FORTIO)),
    Image("docker.io/curlimages/curl:8.16.0", "curl", _context("curl", _files())),
    # Chapter 23's. Not under ztunnel's name, which it is not.
    Image(
        f"docker.io/meshlab/ztunnel-stand-in:{ISTIO_TAG}",
        "ztunnel-stand-in",
        _context("ztunnel-stand-in", _files(nodeproxy=(NODE_PROXY, "nodeproxy")), NODE_PROXY),
    ),
    # Under the names that Istio's add-on manifests ask for.
    Image("docker.io/prom/prometheus:v3.10.0", "prometheus", PROMETHEUS),
    Image("docker.io/jaegertracing/jaeger:2.17.0", "jaeger", JAEGER),
    Image("docker.io/openzipkin/zipkin-slim:3.4.0", "zipkin", ZIPKIN),
)  # fmt: skip
IMAGES = (*FIRST, *LATER)


def descriptions() -> list[tuple[str, str, str]]:
    """Name, source and difference from the official image of each image, by the labels of its Containerfile."""
    rows = []
    for image in IMAGES:
        text = (FOLDER / image.folder / "Containerfile").read_text(encoding="utf-8")
        if image.folder == "reviews-stars":
            text = (FOLDER / "reviews/Containerfile").read_text(encoding="utf-8")
        source, differs = (re.search(rf'{key}="((?:[^"\\\\]|\\\\.)*)"', text) for key in ("image.source", "lab.differs"))
        rows.append((image.reference, source.group(1), differs.group(1)))
    return rows


def _build(images: tuple[Image, ...], directory: Path, say: Say, log: Path) -> None:
    layout = directory / "layout"
    blobs = layout / "blobs/sha256"
    blobs.mkdir(parents=True)
    # Storage of its own for each build: nothing half-made can outlive a build that was killed.
    storage = ["--root", directory / "storage", "--runroot", directory / "run", "--storage-driver", "overlay"]

    def buildah(*arguments) -> None:
        # Nothing here needs a network, and what a build step starts shall not listen on the host's.
        alone = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "alone"]
        call([*alone, "buildah", *storage, *arguments], log, say, env={"TMPDIR": str(directory)})

    def build(tag: str, folder: str, context: Path, *more: str) -> None:
        containerfile = FOLDER / folder / "Containerfile"
        buildah("bud", "--isolation", "chroot", "--pull-never", "--format", "oci", "--tag", tag, *more, "--file", containerfile, context)

    say("base: unpacking the layer that all images share")
    # With the dates that Debian gave its files: Python's compiled modules are stale under any other.
    build("localhost/base", "base", BASE.path)
    # Put the base layer into the layout as it is: each push finds it there, instead of compressing it once more.
    buildah("push", "--disable-compression", "--quiet", "localhost/base", f"dir:{directory}/base")
    for blob in (directory / "base").iterdir():
        if len(blob.name) == 64:
            blob.rename(blobs / blob.name)
    for number, image in enumerate(images, 1):
        say(f"{number}/{len(images)} {image.reference}")
        arguments = [f"--build-arg={key}={value}" for key, value in image.arguments.items()]
        build(image.reference, image.folder, image.context.path, "--timestamp", "0", *arguments)
        fast = ("--compression-format", "zstd", "--compression-level", "1")
        buildah("push", *fast, "--quiet", image.reference, f"oci:{layout}:{image.reference}")
    _name_for_containerd(layout / "index.json")
    for scratch in ("storage", "run", "base"):
        shutil.rmtree(directory / scratch)


def _name_for_containerd(index: Path) -> None:
    """Containerd takes an image's full name from an annotation of its own, buildah writes the OCI one."""
    content = json.loads(index.read_text(encoding="utf-8"))
    for manifest in content["manifests"]:
        annotations = manifest["annotations"]
        annotations["io.containerd.image.name"] = annotations["org.opencontainers.image.ref.name"]
    index.write_text(json.dumps(content), encoding="utf-8")


# How they are built counts as text, function by function: a module that only moves builds nothing anew.
RECIPE = "".join(map(inspect.getsource, (_build, _name_for_containerd)))


def _layout(name: str, images: tuple[Image, ...]) -> Part:
    wanted = repr([(image.reference, image.folder, image.arguments) for image in images])
    folders = tuple(FOLDER / each for each in dict.fromkeys(("base", *(image.folder for image in images))))
    return Part(
        name, partial(_build, images), (*folders, RECIPE, wanted), (BASE, *dict.fromkeys(image.context for image in images)), roots=True
    )


LAYOUTS = FIRST_LAYOUT, LATER_LAYOUT = _layout("images", FIRST), _layout("later-images", LATER)


def lasting(parts: Iterable[Part]) -> list[Part]:
    """Of `parts` and all that went into them what is worth its room: no copies for an image, and not the layer of all."""
    return [part for part in every(parts) if part is not BASE and not part.name.startswith("context-")]


# Run in a mount namespace of its own, over a copy-on-write layer of the node's root: containerd unpacks the images once,
# so that a node which boots from nothing has them by hard links instead of by a quarter of a minute's work. A store that is there
# already ($4) is added to; its files stay as they are, but for the databases.
UNPACK = """
set -e
cd "$1"
mkdir upper work merged containerd
if [ -n "$4" ]; then
    cp --archive --link "$4/." containerd
    find containerd -name '*.db' -exec cp --archive {} {}.new \\; -exec mv {}.new {} \\;
fi
mount -t overlay overlay -o "lowerdir=$2,upperdir=upper,workdir=work" merged
mkdir -p merged/containerd merged/layout
mount --bind containerd merged/containerd
mount --bind "$3" merged/layout
mount -t proc proc merged/proc
mount --rbind /dev merged/dev
exec chroot merged sh -ec '
    containerd --root /containerd --state /run/containerd --address /run/containerd.sock --log-level warn &
    timeout 60 sh -c "until ctr --address /run/containerd.sock version >/dev/null 2>&1; do kill -0 $!; done"
    tar --create --directory /layout . | ctr --address /run/containerd.sock --namespace k8s.io images import -
    kill $!
    wait $!
'
"""


def _store(name: str, layout: Part, *further: Part) -> Part:
    """The images of `layout` as containerd keeps them, and those of a store that is there already."""

    def unpack(directory: Path, say: Say, log: Path) -> None:
        say("unpacking the images as containerd keeps them")
        there = [each.path / "containerd" for each in further]
        call(["sh", "-ec", UNPACK, "unpack", directory, NODE_ROOT.path / "root", layout.path / "layout", *(there or [""])], log, say)
        for scratch in ("upper", "work", "merged"):
            shutil.rmtree(directory / scratch)

    return Part(name, unpack, (UNPACK,), (layout, NODE_ROOT, *further), roots=True)


FIRST_STORE = _store("image-store", FIRST_LAYOUT)
STORE = _store("whole-image-store", LATER_LAYOUT, FIRST_STORE)
