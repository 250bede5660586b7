"""How Sphinx builds this documentation: ``make docs``."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from smooseg import __version__  # noqa: E402

project, author, release = "smooseg", "The smooseg developers", __version__
copyright = "The smooseg developers, MIT licence"
extensions = [
    "mathml",
    "myst_nb",
    "notebook_weights",
    "schema_pages",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
smartquotes_action = "qe"  # quotes and dots; "--" of an option stays as it is
suppress_warnings = ["config.cache", "mystnb.unknown_mime_type"]

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = f"smooseg {release}"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_theme_options = {
    "navigation_with_keys": True,
    "show_prev_next": False,
    "show_toc_level": 2,
    "navbar_align": "left",
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_show_sourcelink = False

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 4
myst_update_mathjax = False
nb_execution_mode = "cache"
nb_execution_in_temp = True  # or files that a notebook writes would lie beside the pages
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_execution_show_tb = True  # of the cell that failed
os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"  # the pages have no bars of tqdm

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_mock_imports = []
intersphinx_mapping = {}  # the documentation builds without a network
copybutton_exclude = ".linenos, .gp, .go"
