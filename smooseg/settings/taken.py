"""Names that tables and sweeps cannot have, as the workflow's own files say."""

import re
from functools import cache

from .shipped import shipped_path

RULE = re.compile(r"^[ \t]*(?:rule|checkpoint|use rule \w+ as)[ \t]+(\w+)[ \t]*(?:(?:with[ \t]*)?:|$)", re.MULTILINE)
TABLE = re.compile(r"<results>/(?:tables|sweeps)/(\w+)\.csv")  # files beside which those of tables and sweeps lie


@cache
def taken_names() -> frozenset[str]:
    """Names of the workflow's rules, which are targets too, and of the tables that it writes itself.

    Raises:
        SmoosegError: If the workflow's files are missing.
    """
    files = [shipped_path("Snakefile"), *sorted(shipped_path("workflow/rules").glob("*.smk"))]
    texts = [path.read_text("utf-8") for path in files]
    return frozenset(name for text in texts for pattern in (RULE, TABLE) for name in pattern.findall(text))
