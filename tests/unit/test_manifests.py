"""Manifests are found by the name a notebook uses, parsed safely, sorted, and every mistake gets a sentence."""

import pytest

from lab_helpers.core.errors import ManifestError
from lab_helpers.core.manifests import FOLDER, chapter_manifests, find, in_apply_order, in_delete_order, load, title


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
    assert load(str(own), root)[0]["kind"] == "Pod"


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
