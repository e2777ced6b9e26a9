"""Manifests are found by the name a notebook uses, parsed safely, sorted, and every mistake gets a sentence."""

import pytest

from lab_helpers.core.errors import ManifestError
from lab_helpers.core.manifests import (
    FOLDER,
    chapter_manifests,
    find,
    in_apply_order,
    in_delete_order,
    load,
    named,
    of_the_course,
    place,
    title,
)


@pytest.fixture
def root(tmp_path):
    chapter = tmp_path / "04_bookinfo"
    chapter.mkdir()
    (chapter / "01-details.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata:\n  name: details\n---\n---\n")
    (chapter / "02-broken.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata:\n  name: details\n ports: [\n")
    (chapter / "03-empty.yaml").write_text("# nothing\n---\n")
    (chapter / "04-nameless.yaml").write_text("apiVersion: v1\nkind: Service\n")
    (chapter / "05-text.yaml").write_text("just words\n")
    (chapter / "06-code.yaml").write_text("!!python/object/apply:os.getcwd []\n")
    return tmp_path


def test_a_manifest_is_found_with_and_without_its_ending(root):
    assert find("04_bookinfo/01-details.yaml", root) == find("04_bookinfo/01-details", root)
    assert [title(each) for each in load("04_bookinfo/01-details", root)] == ["Service details"]


def test_a_file_of_the_learners_own_is_taken(tmp_path, root):
    own = tmp_path / "mine.yaml"
    own.write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: mine}\n")
    assert load(named(own), root)[0]["kind"] == load(named(str(own)), root)[0]["kind"] == "Pod"


@pytest.mark.parametrize("given", [None, 1, ["a.yaml"], {"kind": "Pod"}])
def test_what_is_no_name_at_all_gets_a_sentence(given):
    with pytest.raises(ManifestError, match="is not the name of a manifest") as caught:
        named(given)
    assert ("without brackets" if isinstance(given, list) else "in quotes") in caught.value.do


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("04_bookinf/01-details.yaml", "no chapter '04_bookinf'.*Did you mean 04_bookinfo"),
        ("99_nothing/x.yaml", "no chapter '99_nothing'.*There are: 04_bookinfo"),
        ("04_bookinfo/01-detials.yaml", "no manifest '01-detials.yaml'.*Did you mean 01-details.yaml"),
        ("details", "no manifest 'details'.*CHAPTER/FILE.yaml"),
        ("04_bookinfo/02-broken", "not valid YAML at line 5, column"),
        ("04_bookinfo/03-empty", "holds no object"),
        ("04_bookinfo/04-nameless", "Document 1 of .* has no metadata.name"),
        ("04_bookinfo/05-text", "has no apiVersion, kind and metadata.name"),
        ("04_bookinfo/06-code", "not valid YAML"),
    ],
)
def test_mistakes_get_a_sentence(root, name, sentence):
    with pytest.raises(ManifestError, match=f"(?s){sentence}"):
        load(name, root)


EXPORT = """
apiVersion: v1
kind: Service
metadata:
  name: details
  namespace: default
  labels: {app: details}
  annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}"}
  ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: owner, uid: e5a}]
  creationTimestamp: "2026-01-01T10:00:00Z"
  generation: 2
  resourceVersion: "4711"
  uid: 1b9c
  selfLink: /api/v1/namespaces/default/services/details
  managedFields: [{manager: kubectl, operation: Update}]
spec: {clusterIP: 10.96.0.9, ports: [{port: 9080}]}
status: {loadBalancer: {}}
"""


@pytest.fixture
def mine(tmp_path):
    def mine(text: str) -> str:
        (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
        return str(tmp_path / "mine.yaml")

    return mine


def test_an_export_is_loaded_without_what_the_api_server_owns(mine):
    [service] = load(mine(EXPORT))
    assert set(service) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(service["metadata"]) == {"name", "namespace", "labels", "annotations", "ownerReferences"}
    assert service["spec"]["clusterIP"] == "10.96.0.9"


def test_what_a_dry_run_writes_is_loaded_alike(mine):
    [made] = load(mine("apiVersion: v1\nkind: Pod\nmetadata:\n  creationTimestamp: null\n  name: a\nspec: {}\nstatus: {}\n"))
    assert made == {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {}}


def test_a_status_that_somebody_wrote_stays(mine):
    [own] = load(mine("apiVersion: example.org/v1\nkind: Light\nmetadata: {name: a}\nstatus: {on: 1}\n"))
    assert own["status"] == {"true": 1}


def indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.strip().splitlines())


def test_lists_are_taken_apart_as_kubectl_does_it(mine):
    text = f"apiVersion: v1\nkind: List\nmetadata: {{resourceVersion: ''}}\nitems:\n  -\n{indented(EXPORT)}\n"
    text += "  - {apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Secret, metadata: {name: inner}}]}\n"
    text += "  - {apiVersion: v1, kind: List, items: []}\n---\n"
    text += "{apiVersion: apps/v1, kind: DeploymentList, items: [{metadata: {name: a}}, {kind: Scale, metadata: {name: b}}]}\n"
    found = load(mine(text))
    assert [title(each) for each in found] == ["Service details", "Secret inner", "Deployment a", "Scale b"]
    assert {each["apiVersion"] for each in found[2:]} == {"apps/v1"}
    assert not {"uid", "managedFields", "resourceVersion"} & found[0]["metadata"].keys() and "status" not in found[0]


def test_a_configmap_with_data_called_items_is_no_list(mine):
    assert [title(each) for each in load(mine("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {items: b}\n"))] == [
        "ConfigMap a"
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("apiVersion: v1\nkind: List\nitems: []\n", "holds no object"),
        ("apiVersion: v1\nkind: List\n", "holds no object"),
        ("apiVersion: v1\nkind: List\nitems: [{kind: A}]\n", "Item 1 of document 1 of .* has no apiVersion and no metadata.name"),
        (
            "{kind: List, items: [{kind: List, items: [a]}]}\n",
            'Item 1 of item 1 of document 1 of .* has no .*only "a"',
        ),
        ("- apiVersion: v1\n", "Document 1 of .* has no apiVersion, kind and metadata.name: it is a list"),
        ("12\n", "Document 1 of .*: it is only 12"),
        ("apiVersion: v1\nkind: Pod\nmetadata: [a]\n", "metadata is a list, not a mapping"),
        ("apiVersion: v1\nkind: Pod\nmetadata: details\n", 'metadata is only "details", not a mapping'),
        ("apiVersion: 1\nkind: Pod\nmetadata: {name: a}\n", "has only 1 as its apiVersion, not text"),
        ("apiVersion: v1\nkind: [Pod]\nmetadata: {name: a}\n", "has a list as its kind, not text"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: [a]}\n", "has a list as its metadata.name, not text"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: }\n", "has no metadata.name"),
    ],
)
def test_documents_that_are_no_objects_get_a_sentence(mine, text, sentence):
    with pytest.raises(ManifestError, match=f"(?s){sentence}"):
        load(mine(text))


@pytest.mark.parametrize("name", ["123", "0", "yes"])
def test_a_name_that_is_a_number_is_for_the_api_server_to_refuse(mine, name):
    assert not isinstance(load(mine(f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\n"))[0]["metadata"]["name"], str)


def test_unknown_chapter_lists_the_known(root):
    with pytest.raises(ManifestError, match="(?s)no chapter '05_bookinfo'.*04_bookinfo"):
        chapter_manifests("05_bookinfo", root)


def test_order_is_what_the_api_needs_and_its_reverse():
    kinds = [
        "VirtualService",
        "Deployment",
        "Telemetry",
        "DestinationRule",
        "Service",
        "Gateway",
        "ServiceAccount",
        "Namespace",
    ]
    objects = [{"kind": kind} for kind in kinds]
    ordered = [each["kind"] for each in in_apply_order(objects)]
    assert ordered == [
        "Namespace",
        "ServiceAccount",
        "Service",
        "Deployment",
        "Telemetry",
        "Gateway",
        "DestinationRule",
        "VirtualService",
    ]
    assert [each["kind"] for each in in_delete_order(objects)] == ordered[::-1]


def test_objects_of_a_kind_keep_their_order():
    objects = [{"kind": "Service", "metadata": {"name": name}} for name in ("b", "a", "c")]
    assert in_apply_order(objects) == objects


def test_every_manifest_of_the_course_loads():
    names = [f"{path.parent.name}/{path.name}" for path in sorted(FOLDER.glob("*/*.yaml"))]
    assert names, "the course has no manifests at all"
    for name in names:
        assert load(name)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A desk with a copy of one manifest of the course's, which the learner may change."""
    copy = tmp_path / "manifests" / "12_traffic_shifting"
    copy.mkdir(parents=True)
    (tmp_path / "my").mkdir()
    (copy / "01-subsets.yaml").write_bytes((FOLDER / "12_traffic_shifting" / "01-subsets.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["12_traffic_shifting/01-subsets.yaml", "12_traffic_shifting/01-subsets"])
def test_in_a_desk_its_copy_of_a_manifest_comes_before_the_courses_own(desk, name):
    copy = desk / "manifests" / "12_traffic_shifting" / "01-subsets.yaml"
    assert find(name) == copy and of_the_course(name)
    copy.write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: mine}\n")
    assert load(name)[0]["kind"] == "Pod" and not of_the_course(name)
    assert load(name, FOLDER)[0]["kind"] == "DestinationRule", "a checkpoint takes the course's own"


def test_what_lies_beside_the_notebook_comes_first_and_what_the_desk_lacks_is_the_courses(desk):
    (desk / "12_traffic_shifting").mkdir()
    (desk / "12_traffic_shifting" / "01-subsets.yaml").write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: beside}\n")
    assert load("12_traffic_shifting/01-subsets")[0]["metadata"]["name"] == "beside"
    assert find("shared/client.yaml") == FOLDER / "shared" / "client.yaml"


def test_a_file_of_ones_own_is_none_of_the_courses_whatever_it_is_called(desk):
    (desk / "my" / "rule.yaml").write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: mine}\n")
    assert place("my/rule") is None and not of_the_course("my/rule") and not of_the_course(str(desk / "my" / "rule.yaml"))
    for name in ("12_traffic_shifting/01-subsets", "manifests/12_traffic_shifting/01-subsets.yaml"):
        assert str(place(name)) == "12_traffic_shifting/01-subsets.yaml" and of_the_course(name)
