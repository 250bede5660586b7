"""What the schema says to people: every key has a title and a description, and every head a few common settings."""

import pytest

from smooseg.settings.schema import follow_reference, load_schema

SCHEMA = load_schema()
HEADS = sorted(SCHEMA["$defs"]["heads"])


def keys(part: dict, path: str = ""):
    """(path, what the schema says of it) of every key below a part."""
    for key, entry in part.get("properties", {}).items():
        yield f"{path}{key}", follow_reference(entry, SCHEMA) | entry
        yield from keys(entry, f"{path}{key}.")


PARTS = {"": SCHEMA} | {name: part for name, part in SCHEMA["$defs"].items() if name != "heads"}
PARTS |= {f"heads.{name}": SCHEMA["$defs"]["heads"][name] for name in HEADS}


@pytest.mark.parametrize("name", PARTS)
def test_every_key_has_a_short_title_and_a_sentence(name):
    for path, entry in keys(PARTS[name]):
        assert 1 <= len(entry.get("title", "").split()) <= 5, path
        assert entry["title"][0].isupper() and not entry["title"].endswith("."), path
        text = entry.get("description", "")
        assert text.endswith(".") and len(text.split()) >= 2 and not text.startswith("Of "), path


@pytest.mark.parametrize("name", HEADS)
def test_a_head_has_one_to_eight_common_settings_and_no_title_twice(name):
    properties = SCHEMA["$defs"]["heads"][name]["properties"]
    assert 1 <= sum(entry.get("common", False) for entry in properties.values()) <= 8
    titles = [entry["title"] for entry in properties.values()]
    assert len(set(titles)) == len(titles)


def test_nothing_that_no_result_needs_came_back():
    dropped = {("cause", "grid"), ("equss", "correspond"), ("primaps", "prototypes")}
    assert not [pair for pair in dropped if pair[1] in SCHEMA["$defs"]["heads"][pair[0]]["properties"]]
