"""Formulas as MathML, which browsers draw themselves: no page loads a script from another server."""

from docutils.nodes import SkipNode
from docutils.utils.math import latex2mathml


def show_math(self, node) -> None:
    """Write a formula within a line."""
    self.body.append(latex2mathml.tex2mathml(node.astext()))
    raise SkipNode


def show_displayed_math(self, node) -> None:
    """Write a formula on lines of its own."""
    formula = latex2mathml.tex2mathml(node.astext(), as_block=True)
    self.body.append(f'<div class="math-display">{formula}</div>\n')
    raise SkipNode


def setup(app):
    """Register with Sphinx, beside MathJax, which conf.py does not choose."""
    app.add_html_math_renderer("mathml", (show_math, None), (show_displayed_math, None))
    return {"parallel_read_safe": True}
