"""What the article leaves undone as a whole, the course does: one release of Istio, one version of an API, a clean-up, no slips.

And the page that maps the article to the course is complete: an item that nobody maps, or a heading that is gone, is found.
"""

import re
from pathlib import Path

import nbformat
import pytest
import yaml

from lab_helpers.course.pages import article
from lab_helpers.node.build.versions import VERSIONS

ROOT = Path(__file__).parents[2]
ISTIO = VERSIONS["istio"]["version"].rpartition(".")[0]
# How many items each part of the article has. The list itself is kept outside the repository.
ITEMS = {0: 4, 1: 19, 2: 18, 3: 15, 4: 11, 5: 10, 6: 11, 7: 12, 8: 5, 9: 15, 10: 19, 11: 7, 12: 11, 13: 9, 14: 6, 15: 6, 16: 7, 17: 8,
         18: 14, 19: 11, 20: 9, 21: 13, 22: 11, 23: 16, 24: 18, 25: 4}  # fmt: skip
# Istio serves some of its kinds in no version 1.
YOUNGER = {"EnvoyFilter", "WasmPlugin", "ProxyConfig", "IstioOperator"}
STAYS = "04_bookinfo/0[1-5]-*.yaml"  # Bookinfo itself, on which later chapters begin


def texts(root: Path) -> dict[str, str]:
    """Return what somebody writes or runs, by its place: manifests, pages, and the cells of notebooks without their outputs."""
    files = [*sorted((root / "manifests").rglob("*.yaml")), *sorted((root / "book").glob("*.md")), *(root / "lab_helpers").rglob("*.py")]
    found = {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in files}
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        found[path.name] = "\n\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
    return found


def other_releases(root: Path) -> list[str]:
    """Find commands, branches and images of another release of Istio than the lab's, and addresses of a branch that moves."""
    named = r"ISTIO_VERSION=|release-|istioctl:|(?:pilot|proxyv2|install-cni|ztunnel):"
    return [
        f"{place} names {found[0]}"
        for place, text in texts(root).items()
        for found in re.finditer(rf"(?:{named})(\d+\.\d+)(?:\.\d+)?\b|istio/istio/(?:blob/|raw/)?master\b", text)
        if found[1] != ISTIO
    ]


def objects(text: str) -> list[dict]:
    """Return the objects that a text of YAML holds."""
    return [each for each in yaml.safe_load_all(text) if isinstance(each, dict) and "kind" in each]


def learners(notebook: Path) -> dict[str, str]:
    """Return the manifests that the learner is to write, as their solutions have them, by file."""
    cells = [cell for cell in nbformat.read(notebook, as_version=4).cells if "solution" in cell.metadata.get("tags", [])]
    written = (re.match(r"%%writefile (\S+)\n(.*)", cell.source, re.DOTALL) for cell in cells)
    return {found[1]: found[2] for found in written if found}


def old_versions(root: Path) -> list[str]:
    """Find objects of Istio's kinds, or of the Gateway API's, that are not written in version 1."""
    manifests = {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in sorted((root / "manifests").rglob("*.yaml"))}
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        manifests |= {f"{path.name}, {name}": text for name, text in learners(path).items()}
    return [
        f"{place} has {each['kind']} in {each['apiVersion']}"
        for place, text in manifests.items()
        for each in objects(text)
        if re.match(r".*\bistio\.io/|gateway\.networking\.k8s\.io/", each["apiVersion"])
        and not each["apiVersion"].endswith("/v1")
        and each["kind"] not in YOUNGER
    ]


def left_behind(root: Path) -> list[str]:
    """Find chapters without a clean-up, and objects that a chapter applies and never deletes, but for Bookinfo."""
    wrong, stay = [], {_title(each) for path in (root / "manifests").glob(STAYS) for each in objects(path.read_text(encoding="utf-8"))}
    for path in sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        if not any(re.search(r"^## Clean-up", cell.source, re.MULTILINE) for cell in cells):
            wrong.append(f"{path.stem} has no clean-up")
        code, mine = "\n".join(cell.source for cell in cells if cell.cell_type == "code"), learners(path)

        def named(call: str, code=code, mine=mine) -> set[str]:
            files = re.findall(r"[\"']([\w/.-]+\.yaml)[\"']", "\n".join(re.findall(rf"lab\.{call}\((.*?)\)", code, re.DOTALL)))
            held = [mine.get(name) or (root / "manifests" / name).read_text(encoding="utf-8") for name in files if _there(root, name, mine)]
            return {_title(each) for text in held for each in objects(text)}

        typed = {f"{kind} {name}".lower() for kind, name in re.findall(r"kubectl delete (\w+) ([\w.-]+)", code)}
        kept = {each for each in named("apply") - named("delete") - stay if each.lower() not in typed}
        wrong += [f"{path.stem} leaves {each} behind" for each in sorted(kept)]
    return wrong


def _there(root: Path, name: str, mine: dict[str, str]) -> bool:
    return name in mine or (root / "manifests" / name).is_file()


def _title(each: dict) -> str:
    return f"{each['kind']} {each['metadata'].get('name', '')}"


def slips(root: Path) -> list[str]:
    """Find what garbled the article: addresses that a web page hides, and French where English is meant."""
    garbled = re.compile(r"\[email.protected\]|\b(?:Serveur|Ajout|Connexion|serveur|Réinitialisation)\b")
    return [f"{place}: {found[0]}" for place, text in texts(root).items() for found in garbled.finditer(text)]


def unmapped(root: Path) -> list[str]:
    """Find items of the article that the page does not have, or whose heading is not there."""
    listed, wrong = article.items(), []
    for stem, held in listed.items():
        wanted = [f"{stem[:2]}.{number}" for number in range(1, ITEMS[int(stem[:2])] + 1)]
        wrong += [f"{stem} lacks {each}" for each in wanted if each not in held] + [
            f"{each} is no item" for each in held if each not in wanted
        ]
        notebook = root / "notebooks" / f"{stem}.ipynb"
        if notebook.is_file():
            wrong += [f"{number} has no heading" for number, item in held.items() if len(item) != 2]
            for beginning in sorted({item[1] for item in held.values() if len(item) == 2 and item[1]}):
                found = [each for each in article.headings(notebook) if re.match(rf"{re.escape(beginning)}(?!\w)", each)]
                wrong += [] if len(found) == 1 else [f"{stem} has {len(found)} headings that begin with {beginning!r}"]
    return wrong + [f"part {number} is not there" for number in ITEMS if not any(stem.startswith(f"{number:02}") for stem in listed)]


@pytest.mark.parametrize("rule", [other_releases, old_versions, left_behind, slips, unmapped], ids=lambda rule: rule.__name__)
def test_the_course(rule):
    assert rule(ROOT) == []


def test_it_has_every_item_once():
    assert sum(len(held) for held in article.items().values()) == sum(ITEMS.values()) == 289


# Bad input, which every rule has to find.


@pytest.fixture
def course(tmp_path):
    """A course of one chapter with something wrong in each respect."""
    for folder in ("manifests/01_one", "notebooks", "book", "lab_helpers"):
        (tmp_path / folder).mkdir(parents=True)
    rule = "apiVersion: networking.istio.io/{}\nkind: VirtualService\nmetadata: {{name: {}}}\n"
    (tmp_path / "manifests/01_one/01-old.yaml").write_text(rule.format("v1beta1", "old"))
    (tmp_path / "manifests/01_one/02-new.yaml").write_text(rule.format("v1", "new"))
    (tmp_path / "book/page.md").write_text("ISTIO_VERSION=1.22.1, release-1.22, write to [email protected]; removed in 1.22")
    cells = [
        nbformat.v4.new_markdown_cell("# One\n\n## Step 1\n\n## Step 1 again"),
        nbformat.v4.new_code_cell('lab.apply("01_one/01-old.yaml", "01_one/02-new.yaml")\nlab.apply("my/mine.yaml")'),
        nbformat.v4.new_code_cell("%%writefile my/mine.yaml\n" + rule.format("v1alpha3", "mine"), metadata={"tags": ["solution"]}),
        nbformat.v4.new_code_cell('lab.delete("01_one/02-new.yaml")'),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "notebooks/01_one.ipynb")
    return tmp_path


def test_what_is_wrong_is_found(course):
    assert other_releases(course) == ["book/page.md names ISTIO_VERSION=1.22.1", "book/page.md names release-1.22"]
    old = ["manifests/01_one/01-old.yaml has VirtualService in networking.istio.io/v1beta1"]
    assert old_versions(course) == [*old, "01_one.ipynb, my/mine.yaml has VirtualService in networking.istio.io/v1alpha3"]
    left = ["01_one leaves VirtualService mine behind", "01_one leaves VirtualService old behind"]
    assert left_behind(course) == ["01_one has no clean-up", *left]
    assert slips(course) == ["book/page.md: [email protected]"]


def test_an_item_that_leads_nowhere_is_found(course, monkeypatch):
    monkeypatch.setattr(article, "items", lambda: {"01_one": {"01.1": ["A", "Step 1"], "01.2": ["B"], "1.3": ["C", ""]}})
    found = unmapped(course)
    assert "01_one has 2 headings that begin with 'Step 1'" in found
    assert {"01_one lacks 01.19", "1.3 is no item", "01.2 has no heading", "part 25 is not there"} <= set(found)
