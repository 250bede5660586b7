"""What a gallery page holds."""

import json
import re

from smooseg.features.provenance import file_sha256


def data_of(page):
    """What a page's script works on."""
    return json.loads(re.search(r'<script id="data" type="application/json">(.+?)</script>', page.read_text())[1])


def names_csv(path, names, head):
    rows = [f"{i},{name},{file_sha256(head)[:12]}" for i, name in enumerate(names)]
    path.write_text("\n".join(["cluster,name,head", *rows]))
    return path
