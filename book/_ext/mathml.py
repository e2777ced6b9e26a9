"""Formulas as MathML, which every current browser draws by itself, so that no script has to be fetched for them."""

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml


def inline(self, node: nodes.math) -> None:
    """Write a formula that stands in a sentence."""
    self.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def display(self, node: nodes.math_block) -> None:
    """Write a formula that stands on a line of its own."""
    self.body.append(f'<div class="math-block">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app):
    """Offer the renderer as ``html_math_renderer = "mathml"``."""
    app.add_html_math_renderer("mathml", (inline, None), (display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
