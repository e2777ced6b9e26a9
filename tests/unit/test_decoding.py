"""YAML means to us what it means to kubectl; nothing is lost in silence; every encoding is read or named."""

import codecs
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab_helpers.core.errors import ClusterError, ManifestError
from lab_helpers.core.fields import differences
from lab_helpers.core.manifests import load
from lab_helpers.kube import kubeconfig

HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"

# Below `data:`, what sigs.k8s.io/yaml v1.6.0, the module in kubectl, makes of it; measured with a Go program that calls YAMLToJSON.
AS_KUBECTL = [
    ("a: yes", '{"a":true}'),
    ("a: Off", '{"a":false}'),
    ("a: y", '{"a":true}'),
    ("a: N", '{"a":false}'),
    ("a: yEs", '{"a":"yEs"}'),
    ("a: tRUE", '{"a":"tRUE"}'),
    ("a: ~", '{"a":null}'),
    ("a: nULL", '{"a":"nULL"}'),
    ("a:", '{"a":null}'),
    ("a: 0777", '{"a":511}'),
    ("a: 0o777", '{"a":511}'),
    ("a: 0B11", '{"a":3}'),
    ("a: +0b1", '{"a":1}'),
    ("a: 08", '{"a":8}'),
    ("a: 0888", '{"a":888}'),
    ("a: 1:30", '{"a":"1:30"}'),
    ("a: 22:22", '{"a":"22:22"}'),
    ("a: 190:20:30", '{"a":"190:20:30"}'),
    ("a: 1:2.5", '{"a":"1:2.5"}'),
    ("a: 2024-01-01", '{"a":"2024-01-01"}'),
    ("a: 2024-01-01T10:00:00Z", '{"a":"2024-01-01T10:00:00Z"}'),
    ("a: 2024-13-45", '{"a":"2024-13-45"}'),
    ("a: 1e3", '{"a":1000}'),
    ("a: 4.0e2", '{"a":400}'),
    ("a: 100e-2", '{"a":1}'),
    ("a: 1e-7", '{"a":1e-7}'),
    ("a: 1.5e21", '{"a":1.5e+21}'),
    ("a: 1e400", '{"a":"1e400"}'),
    ("a: 1_000", '{"a":1000}'),
    ("a: 0x1F", '{"a":31}'),
    ("a: 0X1f", '{"a":31}'),
    ("a: 0x1p4", '{"a":"0x1p4"}'),
    ("a: .5", '{"a":0.5}'),
    ("a: -.5", '{"a":-0.5}'),
    ("a: .5_5", '{"a":0.55}'),
    ("a: ._5", '{"a":"._5"}'),
    ("a: 1.0", '{"a":1}'),
    ("a: 5.", '{"a":5}'),
    ("a: +1", '{"a":1}'),
    ("a: 100m", '{"a":"100m"}'),
    ("a: 1.10", '{"a":1.1}'),
    ("a: =", '{"a":"="}'),
    ("a: <<", '{"a":"<<"}'),
    ("a: inf", '{"a":"inf"}'),
    ("a: 9223372036854775807", '{"a":9223372036854775807}'),
    ("a: 18446744073709551616", '{"a":18446744073709552000}'),
    ("a: 0xFFFFFFFFFFFFFFFFF", '{"a":"0xFFFFFFFFFFFFFFFFF"}'),
    ("a: ! 12", '{"a":"12"}'),
    ("a: !!str 123", '{"a":"123"}'),
    ("a: !!float 3", '{"a":3}'),
    ("a: !!binary aGFsbG8=", '{"a":"hallo"}'),
    ("a: !!set {x, y}", '{"a":{"true":null,"x":null}}'),
    ("1: x", '{"1":"x"}'),
    ("on: x", '{"true":"x"}'),
    ("y: x", '{"true":"x"}'),
    ("0777: x", '{"511":"x"}'),
    ("1e3: x", '{"1000":"x"}'),
    ("1e6: x", '{"1e+06":"x"}'),
    ("1.31: x", '{"1.31":"x"}'),
    ("2024-01-01: x", '{"2024-01-01":"x"}'),
    (".inf: x", '{".inf":"x"}'),
    ("a: &x {b: 1}\nc: *x", '{"a":{"b":1},"c":{"b":1}}'),
    ("a: &x 1\nb: &x 2\nc: *x", '{"a":1,"b":2,"c":2}'),
    ("a: &x {b: 1, c: 2}\nd: {<<: *x, b: 3}", '{"a":{"b":1,"c":2},"d":{"b":3,"c":2}}'),
    ("d: {<<: [{a: 1}, {a: 2, b: 3}]}", '{"d":{"a":1,"b":3}}'),
    ("d: {'<<': 1}", '{"d":{"<<":1}}'),
    ("a:\tb", '{"a":"b"}'),
    ("a: [\n\tb]", '{"a":["b"]}'),
    ("a: {b:1}", '{"a":{"b:1":null}}'),
    ('a: "1"', '{"a":"1"}'),
    ("a: |\n  yes\n", '{"a":"yes\\n"}'),
]


@pytest.fixture
def write(tmp_path):
    def write(content: str | bytes) -> str:
        path = tmp_path / "mine.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


def kept(text: str) -> int | float:
    """A number of JSON as the API server keeps it: an integer of 64 bits, or else a float."""
    value = float(text)
    return int(text) if text.lstrip("-").isdigit() and -(2**63) <= int(text) < 2**63 else value


@pytest.mark.parametrize(("text", "wanted"), AS_KUBECTL)
def test_yaml_means_what_it_means_to_kubectl(write, text, wanted):
    [read] = load(write(HEAD + "data:\n" + "".join(f"  {line}\n" for line in text.splitlines())))
    # as text, since to Python 1 and 1.0 and True are the same
    assert json.dumps(read["data"], sort_keys=True) == json.dumps(json.loads(wanted, parse_int=kept, parse_float=kept), sort_keys=True)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("data: {a: 1}\ndata: {b: 2}\n", 'line 5, column 1: the key "data" stands twice.*line 4'),
        ("spec:\n- b:\n    d: 1\n    e: 2\n    d: 3\n", 'line 8, column 5: the key "d" stands twice.*line 6'),
        ("spec: {a: {b: 1, b: 1}}\n", 'line 4, .*the key "b" stands twice'),
        ("spec:\n  1: a\n  '1': b\n", 'line 6.*the key "1" stands twice'),  # two keys to YAML, and one to JSON
        ("spec:\n  yes: a\n  true: b\n", 'line 6.*the key "true" stands twice'),
        ("spec:\n  b: 3\n  <<: {b: 1}\n", 'line 6.*<< comes after the key "b".*put << first'),
        ("spec: .inf\n", "line 4.*.inf is a number that JSON does not have"),
        ("spec: {a: [.nan]}\n", "line 4.*.nan is a number that JSON does not have"),
        ("spec: {~: a}\n", "line 4.*the key ~ is not text.*quotes"),
        ("spec: {123456789.5: a}\n", "line 4.*the key 123456789.5 is not text.*quotes"),  # kubectl: 1.2345679e+08
        ("spec: {{ name }}\n", "line 4.*template"),
        ("spec: {? [a] : b}\n", "line 4.*a key is a mapping or a list"),
        ("spec: &a [*a]\n", "line 4.*&a names contains itself"),
        ("spec: *nope\n", "line 4.*no &nope comes before it"),
        ("spec: {<<: 1}\n", "line 4.*<< wants a mapping"),
        ("spec: !Ref a\n", "line 4.*the tag !Ref means nothing to Kubernetes"),
        ("spec: !!int x\n", "line 4.*'x' is no !!int"),
        ("spec: !!binary /w==\n", "line 4.*text in base64"),
        ("spec:\n\ta: 1\n", "line 5, column 1.*a tab: indent with spaces"),
        ("spec: 'x\na: b\n", "not valid YAML at.*unexpected end of stream.*quoted scalar, which begins in line 4"),
        ("spec: [1\n", "not valid YAML at line 5.*begins in line 4"),
        ("spec: a\x07\n", "not valid YAML.*0x07: control characters"),
        ("spec: a\n...\nb: 2\n", "not valid YAML at line 6"),  # kubectl reads what is before the dots, and loses the rest
        (f"spec: {'[' * 5000}{']' * 5000}\n", "not valid YAML"),
    ],
)
def test_what_json_cannot_carry_or_would_be_lost_gets_a_sentence(write, text, sentence):
    with pytest.raises(ManifestError, match=f"(?s){sentence}"):
        load(write(HEAD + text))


def test_aliases_of_aliases_are_not_written_out_without_end(write):
    names = "abcdefghi"
    bomb = "".join(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip(names, names[1:], strict=False))
    with pytest.raises(ManifestError, match="line .*more than 1,000,000 values"):
        load(write(f"{HEAD}a: &a [{', '.join('x' * 9)}]\n{bomb}"))


def test_an_alias_is_a_copy(write):
    [read] = load(write(HEAD + "a: &a {b: 1}\nc: *a\n"))
    read["a"]["b"] = 2
    assert read["c"] == {"b": 1}


def test_json_is_read_as_json(write):
    text = '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "\\ud83d\\ude00", "b": "y", "c": 1e3}}'
    assert [each["data"] for each in load(write(f"{text}\n{text}"))] == [{"a": "😀", "b": "y", "c": 1000}] * 2
    with pytest.raises(ManifestError, match='line 2.*the key "a" stands twice'):
        load(write('{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"},\n "data": {"a": 1, "a": 2}}'))


UMLAUTS = f"# Gewichte für die Übung\n{HEAD}data: {{a: ü}}\n"


@pytest.mark.parametrize(
    "content",
    [
        UMLAUTS.encode(),
        codecs.BOM_UTF8 + UMLAUTS.replace("\n", "\r\n").encode(),
        codecs.BOM_UTF16_LE + UMLAUTS.replace("\n", "\r\n").encode("utf-16-le"),
        codecs.BOM_UTF16_BE + UMLAUTS.encode("utf-16-be"),
        codecs.BOM_UTF32_LE + UMLAUTS.encode("utf-32-le"),
    ],
    ids=["utf-8", "utf-8-bom", "utf-16-le", "utf-16-be", "utf-32"],
)
def test_an_encoding_that_can_be_known_is_read(write, content):
    assert load(write(content))[0]["data"] == {"a": "ü"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (UMLAUTS.encode("cp1252"), r"is not UTF-8: byte 13 \(0xfc\), in line 1,.*Save it as UTF-8"),
        (UMLAUTS[UMLAUTS.index("\n") :].encode("latin-1"), r"is not UTF-8: .*\(0xfc\), in line 5,"),
        (HEAD.encode("utf-16-le"), "zero byte in line 1.*UTF-16.*Save it as UTF-8"),
        (codecs.BOM_UTF16_LE + UMLAUTS.encode("utf-16-le")[:-1], "is not UTF-16-LE: .* in line 5"),
        (b"\x1f\x8b\x08\x00gzip", "is not UTF-8: byte 2 .*line 1"),
    ],
)
def test_any_other_encoding_gets_a_sentence(write, content, sentence):
    with pytest.raises(ManifestError, match=f"(?s){sentence}"):
        load(write(content))


BOM = "\ufeff"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_files_put_one_after_the_other_each_with_its_mark_are_read_as_kubectl_does(write, encoding):
    one, other = (f"{BOM}apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\n" for name in "ab")
    for text in (f"{one}---\n{other}", one + other.replace(BOM, f"{BOM}---\n"), f"{one}---\n\n{BOM}# of b\n{other}"):
        assert [each["metadata"]["name"] for each in load(write(text.encode(encoding)))] == ["a", "b"]
    with pytest.raises(ManifestError, match='line 4.*the key "apiVersion" stands twice'):
        load(write((one + other).encode(encoding)))  # of which kubectl loses the first


def test_a_mark_inside_of_a_line_is_a_sign_like_any_other(write):
    assert load(write(f"{HEAD}data: {{a: x{BOM}y, b: '{BOM}'}}\n"))[0]["data"] == {"a": f"x{BOM}y", "b": BOM}


def test_objects_of_json_each_with_its_mark(write):
    text = json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}})
    assert len(load(write(f"{BOM}{text}\n{BOM}{text}\n"))) == 2


def test_a_file_that_may_not_be_read_gets_a_sentence(write, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ManifestError, match="cannot be read: Permission denied"):
        load(write(HEAD))


def test_a_kubeconfig_of_another_encoding(tmp_path):
    text = json.dumps({"clusters": [{"name": "c", "cluster": {"server": "https://ü"}}]}, ensure_ascii=False)
    path = tmp_path / "config"
    path.write_bytes(codecs.BOM_UTF16_LE + text.encode("utf-16-le"))
    assert kubeconfig.merge([path])["clusters"]["c"]["server"] == "https://ü"
    path.write_bytes(text.encode("cp1252"))
    with pytest.raises(ClusterError, match=r"(?s)is not UTF-8: byte .*line 1.*Save it as UTF-8"):
        kubeconfig.merge([path])


def test_the_locale_does_not_matter(write):
    # Python makes UTF-8 of the C locale by itself; where it is told not to, it is as with any locale of another encoding.
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "utf-8"}
    script = "import sys; from lab_helpers.core.manifests import load; print(load(sys.argv[1])[0]['data']['a'])"
    done = subprocess.run([sys.executable, "-c", script, write(UMLAUTS)], env=environment, capture_output=True, check=True, cwd=ROOT)
    assert done.stdout.decode().strip() == "ü"


ROOT = Path(__file__).parents[2]


def test_yaml_inside_a_string_may_hold_what_python_has_no_word_for():
    before, after = ({"config": f"# of\nday: {day}\nset: =\n"} for day in ("2024-13-45", "2024-12-31"))
    assert list(differences(before, after)) == [("config.day", "2024-13-45", "2024-12-31")]
