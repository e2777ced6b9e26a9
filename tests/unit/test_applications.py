"""The build contexts of the application images: what is pinned is pinned everywhere, what must agree agrees."""

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest

from lab_helpers.node.build.applications import FOLDER, REVIEWS_VERSIONS
from lab_helpers.node.build.binaries import SOURCES
from lab_helpers.node.build.versions import VERSIONS

APPLICATIONS = ("productpage", "details", "ratings", "reviews", "httpbin", "curl")


def containerfile(folder: str) -> str:
    return (FOLDER / folder / "Containerfile").read_text()


@pytest.mark.parametrize("folder", APPLICATIONS)
def test_an_image_says_what_it_was_rebuilt_from_and_how_it_differs(folder):
    labels = dict(re.findall(r'([\w.]+)="([^"]*)"', containerfile(folder)))
    assert labels["org.opencontainers.image.source"]
    assert labels["org.opencontainers.image.base.name"]
    for sentence in (labels["org.opencontainers.image.description"], labels["lab.differs"]):
        assert sentence.endswith(".") and len(sentence.split()) > 2, sentence


@pytest.mark.parametrize("folder", APPLICATIONS)
def test_an_application_does_not_run_as_root(folder):
    users = re.findall(r"^USER (\S+)$", containerfile(folder), re.MULTILINE)
    # As a number: Kubernetes cannot tell whether a name is root when a pod asks for runAsNonRoot.
    assert folder == "httpbin" or (users and all(user.isdigit() and int(user) > 0 for user in users)), users


@pytest.mark.parametrize("folder", APPLICATIONS)
def test_no_application_needs_ipv6(folder):
    """Booted without it, a machine's programs cannot even ask for such a socket: the page ended at its start, again and again."""
    assert "[::]" not in containerfile(folder)


def test_every_node_module_is_held_by_a_hash_and_by_no_address():
    text = (FOLDER / "ratings/package-lock.json").read_text()
    modules = {name: module for name, module in json.loads(text)["packages"].items() if name}
    assert {"node_modules/httpdispatcher", "node_modules/mongodb", "node_modules/mysql"} <= modules.keys()
    assert [name for name, module in modules.items() if not module.get("integrity", "").startswith("sha512-")] == []
    assert "://" not in text


def test_maven_is_told_every_version():
    space = {"m": "http://maven.apache.org/POM/4.0.0"}
    pom = ElementTree.parse(FOLDER / "reviews/pom.xml")
    wanted = [item for kind in ("dependency", "plugin", "artifactItem") for item in pom.iterfind(f".//m:{kind}", space)]
    assert len(wanted) == 6
    properties = {item.tag.split("}")[1]: item.text for item in pom.find("m:properties", space)}
    for item in wanted:
        version = re.sub(r"\$\{(.+?)\}", lambda name: properties[name[1]], item.findtext("m:version", "", space))
        assert re.fullmatch(r"\d+(\.\d+)+", version), (item.findtext("m:artifactId", "", space), version)


def test_liberty_is_the_one_that_is_pinned():
    version = re.search("<liberty.version>(.*)</liberty.version>", (FOLDER / "reviews/pom.xml").read_text())[1]
    assert f"io.openliberty:openliberty-runtime:{version}:zip" in VERSIONS["sha256"]


@pytest.mark.parametrize("name", ["istio", "httpbin", "fortio"])
def test_a_go_module_is_the_one_of_the_versions_and_all_that_goes_in_has_a_hash(name):
    wanted = f"{VERSIONS[name]['module']} {VERSIONS[name]['revision']}"
    folder = SOURCES / name
    required = re.findall(r"^(?:require )?\t?(\S+ v\S+)(?: // indirect)?$", (folder / "go.mod").read_text(), re.MULTILINE)
    hashed = set(re.findall(r"^(\S+ v\S+?)(?:/go\.mod)? h1:", (folder / "go.sum").read_text(), re.MULTILINE))
    assert wanted in required and set(required) <= hashed


def test_the_jvm_looks_for_its_class_archive_where_the_build_leaves_it():
    made = re.search(r"-XX:ArchiveClassesAtExit=([\w/.]+)", containerfile("reviews"))[1]
    assert f"-XX:SharedArchiveFile={made}" in (FOLDER / "reviews/jvm.options").read_text().splitlines()
    copied = re.search(r"^COPY jvm.options (\S+)$", containerfile("reviews"), re.MULTILINE)[1]
    assert f'RUN echo "@{copied}" >' in containerfile("reviews")


def test_the_versions_of_reviews_differ_by_arguments_that_the_images_take():
    assert set(REVIEWS_VERSIONS) == {"v1", "v2", "v3"}
    for version, arguments in REVIEWS_VERSIONS.items():
        for folder in ("reviews", "reviews-stars"):
            assert arguments.keys() <= set(re.findall(r"^ARG (\w+)=", containerfile(folder), re.MULTILINE)), (version, folder)
