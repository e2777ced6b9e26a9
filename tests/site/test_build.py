"""What `lab_helpers.site` makes of good and of bad input; no built site and no browser is needed."""

import json
import re

import nbformat
import pandas as pd
import plotly.graph_objects as go
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lab_helpers.core.errors import LabError
from lab_helpers.course import site
from lab_helpers.course.pages import article, chapter, drawings, landing, lighter


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book of one page and one chapter, in place of ours."""
    root = tmp_path / "book"
    (root / "book" / "_static").mkdir(parents=True)
    (root / "notebooks").mkdir()
    (root / "_config.yml").write_text("title: Small\nonly_build_toc_files: true\nexecute: {execute_notebooks: 'off'}\n")
    (root / "_toc.yml").write_text("format: jb-book\nroot: book/intro\nparts: [{caption: C, chapters: [{file: notebooks/01_one}]}]\n")
    (root / "book" / "intro.md").write_text("# Hello\n")
    write(root, [new_markdown_cell("# One")])
    monkeypatch.setattr(site, "ROOT", root)
    return root


def write(root, cells, **metadata):
    metadata["language_info"] = {"name": "python"}
    nbformat.write(new_notebook(cells=cells, metadata=metadata), root / "notebooks" / "01_one.ipynb")


def test_builds_the_chapters_of_the_run_and_leaves_the_tree_alone(book, tmp_path):
    before = sorted(book.rglob("*"))
    index = site.build(book / "notebooks", tmp_path / "out")
    assert index.is_file()
    assert "<h1>One" in (index.parent / "notebooks" / "01_one.html").read_text()
    assert sorted(book.rglob("*")) == before


def test_a_page_of_an_earlier_build_does_not_stay(book, tmp_path):
    stale = tmp_path / "out" / "_build" / "html" / "stale.html"
    stale.parent.mkdir(parents=True)
    stale.touch()
    site.build(book / "notebooks", tmp_path / "out")
    assert not stale.exists()


def test_a_warning_is_an_error_that_names_the_file(book, tmp_path):
    (book / "book" / "intro.md").write_text("# Hello\n\n[nothing there](gone.md)\n")
    with pytest.raises(LabError, match=r"book/intro\.md:3: WARNING: .*gone\.md"):
        site.build(book / "notebooks", tmp_path / "out")


def test_a_missing_chapter_is_named(book, tmp_path):
    with pytest.raises(LabError, match="no notebook for 01_one"):
        site.build(book / "book", tmp_path / "out")


def test_a_figure_is_drawn_by_a_script_of_the_site_itself(book, tmp_path):
    (book / "book" / "_static" / "figures.js").write_text("// draws\n")
    figure = json.loads(go.Figure(go.Bar(x=["</script>"], y=[1]), {"height": 300}).to_json())
    output = new_output("display_data", data={chapter.PLOTLY: figure, "text/plain": "One bar"})
    write(book, [new_markdown_cell("# One"), new_code_cell("figure", outputs=[output])])
    built = site.build(book / "notebooks", tmp_path / "out").parent
    page = (built / "notebooks" / "01_one.html").read_text()
    assert page.count('src="../_static/figures.js"') == 1
    assert "min-height: 300px" in page and '"x":["<\\/script>"]' in page
    assert "plotly.min.js" not in page
    assert (tmp_path / "out" / "_src" / "book" / "_static" / "plotly.min.js").is_file()


def test_what_is_no_use_to_a_reader_is_left_out_or_folded():
    cells = [
        new_code_cell("namespace = 1", metadata={"tags": ["parameters"]}),
        new_code_cell("from lab_helpers.chapters.c01_one import *\n\nlab = connect()"),
        new_code_cell("assert True", metadata={"tags": ["claim", "remove-cell"]}),
        new_code_cell('predict("01.a", ["no"])', outputs=[new_output("display_data", data={"text/html": "<p>"})]),
        new_code_cell("lab.page()"),
    ]
    page = chapter.readable(new_notebook(cells=cells))
    assert [cell.metadata.tags for cell in page.cells] == [["parameters", "hide-input"], ["hide-input"], ["remove-input"], []]
    assert "claim" not in str(page)


def test_a_drawing_becomes_part_of_its_page(tmp_path):
    (tmp_path / "a.svg").write_text('<svg style="background: #fff; color: #111"><rect/></svg>\n')
    page = drawings.inlined('# A\n\n```{figure} a.svg\n:alt: A "b"\n\nWhat it is.\n```\n\nMore.\n', tmp_path)
    figure = '<figure class="drawing" role="img" aria-label="A &quot;b&quot;">\n<svg><rect/></svg>\n</figure>'
    assert page == f"# A\n\n```{{raw}} html\n{figure}\n```\n\nWhat it is.\n\n\nMore.\n"


def test_numbers_of_a_table_say_so():
    frame = pd.DataFrame({"name": ["a", "b"], "sent": [1, 20], "share": ["5 %", "much"]}, index=["x", "y"])
    cell = new_code_cell("frame", outputs=[new_output("display_data", data={"text/html": frame.to_html()})])
    (shown,) = chapter.readable(new_notebook(cells=[cell])).cells[0].outputs
    assert re.findall(r'<(t[dh]) class="number">([^<]+)', shown.data["text/html"]) == [("th", "sent"), ("td", "1"), ("td", "20")]


def test_a_page_keeps_the_scripts_that_it_uses(tmp_path):
    scripts = "".join(
        f'<script src="_static/{name}?v=1"></script>' for name in ["fontawesome.js", "copybutton.js", "doctools.js", "figures.js"]
    )
    (tmp_path / "_static" / "scripts").mkdir(parents=True)
    (tmp_path / "_static" / "scripts" / "fontawesome.js.map").touch()
    for name, body in {
        "plain": "",
        "code": '<div class="highlight-python">',
        "twice": '<script src="_static/figures.js"></script>',
    }.items():
        (tmp_path / f"{name}.html").write_text(f"<head>{scripts}</head>{body}")
    lighter.lighten(tmp_path)
    left = {path.stem: re.findall(r"_static/(\w+)", path.read_text()) for path in tmp_path.glob("*.html")}
    assert left == {"plain": ["doctools", "figures"], "code": ["copybutton", "doctools", "figures"], "twice": ["doctools", "figures"]}
    assert not list(tmp_path.rglob("*.map"))


def test_a_card_has_a_picture_without_words(tmp_path):
    stem = "01_service_mesh"
    drawing = new_output("display_data", data={"text/html": "<svg><title>t</title><rect/><text x='1'>small</text></svg>"})
    cells = [new_markdown_cell("# 1 · A mesh"), new_code_cell("draw()", outputs=[drawing])]
    nbformat.write(new_notebook(cells=cells), tmp_path / f"{stem}.ipynb")
    assert "<svg><rect/></svg>" in landing.gallery(tmp_path, [stem], tmp_path)
    (tmp_path / f"{stem}.svg").write_text("<svg>made for it</svg>")
    assert "made for it" in landing.gallery(tmp_path, [stem], tmp_path)


def test_an_item_of_the_article_leads_to_its_heading(tmp_path, monkeypatch):
    listed = {"01_one": {"01.1": ["A mesh", "Step 1"], "01.2": ["All of it", ""]}, "02_two": {"02.1": ["A lab"]}}
    monkeypatch.setattr(article, "items", lambda: listed)
    nbformat.write(
        new_notebook(cells=[new_markdown_cell("# 1 · One\n\n## Step 1: `why`?"), new_markdown_cell("## Step 10")]),
        tmp_path / "01_one.ipynb",
    )
    table = article.table(tmp_path)
    assert "| 01.1 | A mesh | [Step 1: `why`?](../notebooks/01_one.ipynb#step-1-why) |" in table
    assert "| 01.2 | All of it | [the whole chapter](../notebooks/01_one.ipynb) |" in table
    assert "## 2 · Two (planned)" in table and "| 02.1 | A lab | planned |" in table
    listed["01_one"]["01.1"][1] = "Step"
    with pytest.raises(LabError, match="01_one has 2 headings beginning"):
        article.table(tmp_path)


def test_a_site_without_figures_carries_no_script_for_them(book, tmp_path):
    site.stage(book / "notebooks", tmp_path / "out")
    assert not (tmp_path / "out" / "book" / "_static" / "plotly.min.js").exists()


def test_what_papermill_notes_of_the_machine_is_dropped(book, tmp_path):
    write(book, [new_markdown_cell("# One")], papermill={"input_path": "/somewhere/private"})
    site.stage(book / "notebooks", tmp_path / "out")
    assert "private" not in (tmp_path / "out" / "notebooks" / "01_one.ipynb").read_text()


def test_what_takes_how_long_is_a_table():
    table = site.seconds_table()
    # Which figures stand there is versions.toml's affair, and changes with each measurement.
    assert re.search(r"\| to build `kubernetes`, once \| [1-9]\d* min \|", table)
    assert "`pause`" not in table and "smaller parts, once" in table


def test_the_runs_are_a_table(tmp_path):
    runs = tmp_path / "runs.json"
    runs.write_text('{"lab": "Kubernetes 1.2", "chapters": {"01_one": {"finished": "2026-01-02 03:04:05", "seconds": 6.78}}}')
    table = site.runs_table(runs)
    assert "Ran on: Kubernetes 1.2." in table
    assert "| {doc}`/notebooks/01_one` | 2026-01-02 03:04:05 | 6.8 |" in table


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"lab": "x", "chapters": []}', '{"lab": "x", "chapters": {"a": 1}}'])
def test_a_record_that_is_none_is_refused(text, tmp_path):
    (tmp_path / "runs.json").write_text(text)
    with pytest.raises(LabError, match="cannot be read"):
        site.runs_table(tmp_path / "runs.json")


def test_a_record_that_is_absent_is_refused(tmp_path):
    with pytest.raises(LabError, match="cannot be read"):
        site.runs_table(tmp_path / "runs.json")


def test_without_a_run_the_page_says_so():
    assert "no run to tell of" in site.runs_table(None)


def test_a_page_has_no_link_into_an_editor():
    html = '<code>a.yaml</code> <a class="meshlab-edit" href="manifests/a.yaml">open in the editor</a>'
    output = new_output("display_data", data={"text/html": html, "text/plain": "applied"})
    notebook = new_notebook(cells=[new_code_cell("lab.apply()", outputs=[output])])
    assert chapter.readable(notebook).cells[0].outputs[0].data["text/html"] == "<code>a.yaml</code>"
