"""Reference of the configuration, written from its schema when the documentation is built."""

from pathlib import Path

from smooseg.settings.schema import follow_reference, load_schema

INTRODUCTION = """# Configuration

This page is made from the schema that `config.yaml` is checked against, so it lists every key. A key that is not listed
here is an error.
"""
PARTS = {  # sections after the top level: title, definition
    "runs": ("run", "Selections of experiments. `--config run=NAME` chooses one."),
    "experiments": ("experiment", "A head on a backbone's features of a data set."),
    "datasets": ("dataset", "Where pictures and labels lie, and which views are made of them."),
    "train, eval": ("view", "The keys `train` and `eval` of a data set."),
    "backbones": ("backbone", "A frozen network, and which of its features are cached."),
    "tables": ("table", "Comparisons of methods. Each is a target: `snakemake --cores all NAME`."),
    "rows": ("table_row", "One method each."),
    "sweeps": ("sweep", "Grids over the settings of one experiment. Each is a target."),
}


def write_pages(app) -> None:
    """Write ``reference/configuration.md`` and ``reference/heads.md`` below the documentation's sources."""
    schema, folder = load_schema(), Path(app.srcdir, "reference")
    write(folder / "configuration.md", "\n".join(configuration(schema)))
    write(folder / "heads.md", "\n".join(heads(schema)))


def write(path: Path, text: str) -> None:
    """Write a page, unless it is there with this text: Sphinx reads again what is newer."""
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")


def configuration(schema: dict):
    """Lines of the configuration's page."""
    yield INTRODUCTION
    flat = {key: part for key, part in schema["properties"].items() if "properties" not in part}
    yield from section("Top level", "", {"properties": flat, "required": schema["required"]}, schema)
    for key, part in schema["properties"].items():
        if "properties" in part:
            yield from section(f"`{key}`", part["description"], part, schema)
    for title, (name, text) in PARTS.items():
        yield from section(f"Entries of `{title}`", text, schema["$defs"][name], schema)


def heads(schema: dict):
    """Lines of the page of heads."""
    yield "# Settings of heads\n"
    yield "The `settings` of an experiment, by head. People change those marked •; the others are for experts.\n"
    for name, part in sorted(schema["$defs"]["heads"].items()):
        yield from section(f"`{name}`", part.get("description", ""), part, schema)


def section(title: str, text: str, part: dict, root: dict):
    """Lines of a section: its text, and a table of its keys."""
    yield f"\n## {title}\n\n{text}\n"
    yield "| key | title | values | default | meaning |\n| --- | --- | --- | --- | --- |"
    yield from rows(part, root, "")


def rows(part: dict, root: dict, prefix: str):
    """A table's rows: a key each, those of a mapping below it."""
    for key, entry in sorted(part.get("properties", {}).items(), key=lambda item: not item[1].get("common", False)):
        entry = follow_reference(entry, root) | entry  # what stands beside a reference counts
        default = default_text(entry["default"]) if "default" in entry else ""
        default = "required" if key in part.get("required", ()) else default
        mark = " •" if entry.get("common") else ""
        title, text = (cell(entry.get(name, "")) for name in ("title", "description"))
        yield f"| `{prefix}{key}`{mark} | {title} | {values(entry)} | {default} | {text} |"
        if "properties" in entry:
            yield from rows(entry, root, f"{prefix}{key}.")


def default_text(value) -> str:
    """A default as YAML has it."""
    if value in ({}, []):
        return ""
    return f"`{str(value).lower() if value is None or isinstance(value, bool) else value}`".replace("`none`", "`null`")


def values(entry: dict) -> str:
    """What a key takes, in a few words."""
    if "enum" in entry:
        return ", ".join(f"`{value}`" for value in entry["enum"])
    if "anyOf" in entry:
        return " or ".join(
            f"`{part['const']}`" if "const" in part else str(part.get("type")) for part in entry["anyOf"]
        )
    kind = entry.get("type", "")
    kind = " or ".join(str(part) for part in kind) if isinstance(kind, list) else str(kind)
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return " ".join([kind, *(f"{sign} {entry[key]}" for key, sign in limits.items() if key in entry)])


def cell(text: str) -> str:
    """Text that cannot end its cell."""
    return " ".join(text.split()).replace("|", "\\|")


def setup(app):
    """Register with Sphinx."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
