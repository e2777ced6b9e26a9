"""What the API server refuses of a manifest's fields: in which line of the file each stands, and what it should be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping

import yaml

from lab_helpers.core.errors import ManifestError
from lab_helpers.kube.client import Client
from lab_helpers.kube.kinds import Kind

# Structured-merge-diff's words, one field a line: https://pkg.go.dev/sigs.k8s.io/structured-merge-diff/v6/typed#ValidationError
OBJECT = r"failed to create typed patch object \([^;]*/(?P<name>[^;]*); (?P<api>[^,]+), Kind=(?P<kind>\w+)\)"
WHOLE = re.compile(rf"{OBJECT}: (?P<fields>.*)", re.S)
FIELD = re.compile(r"^\s*(?P<path>\.\S+): (?P<problem>field not declared in schema|expected .+?, got .*)$", re.M)
STEP = re.compile(r"\.(?P<field>[^.\[]+)|\[(?P<at>\d+)\]|\[(?P<keys>[^\]]+)\]")
SHOULD_BE = {
    "list": 'a list: write each item on a line of its own behind "- "',
    "string": "text: write it in quotes; and if it is a time, with its unit, as in 2s",
    "numeric": "a number, without quotes",
    "boolean": "true or false, without quotes",
    "map": "more fields, each indented on a line of its own",
}
Path = tuple[str | int, ...]


def explained(client: Client, error: ManifestError, texts: Mapping[str, str]) -> ManifestError:
    """The same error, in words about the file; itself, if it is about anything else.

    Parameters
    ----------
    client : Client
        Whose cluster refused.
    error : ManifestError
        What `objects.write` raised.
    texts : mapping of str to str
        The manifests that were applied, by name.
    """
    found = WHOLE.search(error.what)
    fields = list(FIELD.finditer(found["fields"])) if found else []
    if not fields:
        return error
    schema, what, do = Schema(client, Kind(found["api"], found["kind"])), [], []
    for each in fields:
        path = _path(each["path"])
        what.append(f"{_where(texts, found['kind'], found['name'], path)}{_wrong(path, each['problem'])}.")
        do += [schema.instead(path) if "not declared" in each["problem"] else f"{dotted(path)} is {_should_be(each['problem'])}."]
    return ManifestError(f"{found['kind']} {found['name']} was refused. {' '.join(what)}", " ".join(dict.fromkeys(do)))


class Schema:
    """What fields a kind has, by the cluster's own OpenAPI document.

    Parameters
    ----------
    client : Client
    kind : Kind
    """

    def __init__(self, client: Client, kind: Kind):
        place = f"apis/{kind.apiVersion}" if kind.group else f"api/{kind.apiVersion}"
        answer = client.raw(f"/openapi/v3/{place}")
        self._schemas = answer.json()["components"]["schemas"] if answer.status == 200 else {}
        this = {"group": kind.group, "version": kind.apiVersion.rpartition("/")[2], "kind": kind.kind}
        self._whole = next((each for each in self._schemas.values() if this in each.get("x-kubernetes-group-version-kind", ())), {})

    def fields(self, path: Path) -> dict[str, dict]:
        """Names and schemas of the fields that an object has at `path`; empty where the document knows none."""
        at = self._opened(self._whole)
        for step in path:
            at = self._opened(at.get("items", {}) if isinstance(step, int) else at.get("properties", {}).get(step, {}))
        return at.get("properties", {})

    def instead(self, path: Path) -> str:
        """What somebody may have meant by a field that is not there."""
        *above, wrong = path
        known = self.fields(tuple(above))
        if close := difflib.get_close_matches(str(wrong), known, n=1, cutoff=0.6):
            return f"Did you mean {close[0]}?"
        for name, schema in known.items():
            if wrong in self._opened(schema).get("properties", {}):
                return f"It belongs to {name}: indent it under that."
        for end in range(len(above) - 1, -1, -1):
            if wrong in self.fields(tuple(above[:end])):
                return f"It belongs to {dotted(tuple(above[:end])) or 'the object itself'}: indent it less."
        return f"{dotted(tuple(above)) or 'The object'} has: {', '.join(sorted(known))}." if known else "Take it out, or correct its name."

    def _opened(self, schema: dict) -> dict:
        """A schema itself, where it stands for one by reference."""
        for each in (schema, *schema.get("allOf", ())):
            if "$ref" in each:
                return self._opened(self._schemas.get(each["$ref"].rpartition("/")[2], {}))
        return schema


def dotted(path: Path) -> str:
    """A path as people write it: ``spec.http[0].route``."""
    return "".join(f"[{step}]" if isinstance(step, int) or "=" in step else f".{step}" for step in path).lstrip(".")


def _path(text: str) -> Path:
    return tuple(int(step["at"]) if step["at"] else step["field"] or step["keys"] for step in STEP.finditer(text))


def _wrong(path: Path, problem: str) -> str:
    if "not declared" in problem:
        return f"there is no field {path[-1]} in {dotted(path[:-1]) or 'the object itself'}"
    return f"{dotted(path)} is something else than it has to be"


def _should_be(problem: str) -> str:
    expected = problem.removeprefix("expected ").partition(", got")[0]
    return next((words for kind, words in SHOULD_BE.items() if expected.startswith(kind)), expected)


def _where(texts: Mapping[str, str], kind: str, name: str, path: Path) -> str:
    """``FILE, line N: ``; empty where it is not to be found, as in a list of objects."""
    for file, text in texts.items():
        for root in _objects(text):
            if _at(root, ("kind",)) == kind and _at(root, ("metadata", "name")) == name and (line := _line(root, path)):
                return f"{file}, line {line}: "
    return ""


def _objects(text: str) -> Iterator[yaml.Node]:
    try:
        yield from (each for each in yaml.compose_all(text, yaml.CSafeLoader) if each is not None)
    except yaml.YAMLError:  # JSON that is not YAML
        return


def _at(node: yaml.Node, path: Path) -> str:
    found = _line_and_value(node, path)
    return found[1].value if found and isinstance(found[1], yaml.ScalarNode) else ""


def _line(node: yaml.Node, path: Path) -> int:
    found = _line_and_value(node, path)
    return found[0] if found else 0


def _line_and_value(node: yaml.Node, path: Path) -> tuple[int, yaml.Node] | None:
    line = node.start_mark.line + 1
    for step in path:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == step), None)
            if pair is None:
                return None
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode):
            item = _item(node, step)
            if item is None:
                return None
            line, node = item.start_mark.line + 1, item
        else:
            return None
    return line, node


def _item(node: yaml.SequenceNode, step: str | int) -> yaml.Node | None:
    """The item at a number, or, as in ``name="app"``, with a key."""
    if isinstance(step, int):
        return node.value[step] if step < len(node.value) else None
    wanted = dict(re.findall(r'(\w+)="?([^",]*)"?', step))
    return next((each for each in node.value if all(_at(each, (key,)) == value for key, value in wanted.items())), None)
