"""The configuration's schema: what is allowed, defaults, and one sentence for what is not."""

import math
from copy import deepcopy
from difflib import get_close_matches
from functools import cache

import yaml
from jsonschema import Draft202012Validator
from jsonschema.validators import extend

from ..errors import SmoosegError
from ..images.datasets import layout_names
from .heads import head_names
from .shipped import shipped_path

PATTERNS = {  # patterns in the schema and in layouts, in words
    "^[^{}]+$": "must hold no { and no }, which Snakemake takes for wildcards",
    r"\S": "must not be empty",
    "^auto$": "must be a number or auto",
    r"^\d+-\d+$": "must be a number, or a range as 0-127",
    "^[0-9a-f]{40}$": "must be a commit's 40 digits and letters a to f",
    "^[0-9a-f]{64}$": "must be a sha256's 64 digits and letters a to f",
    "^(https?://[^{}@]+|(ssh|file)://[^{}]+)$": "must begin with https://, http://, ssh:// or file://, without a user",
    "^(https?://[^{}@]+|file://[^{}]+)$": "must begin with https://, http:// or file://, without a user",
    r"^(?!/)[^{}*?\[\]\\]+$": "must be a path below the folder, without any of {}*?[] and backslashes",
}

# YAML has .nan and .inf, and JSON Schema takes 3.0 for an integer: neither is of use to any setting
TYPES = Draft202012Validator.TYPE_CHECKER.redefine_many(
    {
        "integer": lambda checker, value: type(value) is int,
        "number": lambda checker, value: type(value) is int or (type(value) is float and math.isfinite(value)),
    }
)
Validator = extend(Draft202012Validator, type_checker=TYPES)


@cache
def parse_schema() -> dict:
    """The schema as its file has it; parsing takes longer than all that follows."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, where PyYAML was built with it
    return yaml.load(shipped_path("workflow/schemas/config.schema.yaml").read_text("utf-8"), loader)


def load_schema() -> dict:
    """The configuration schema; layouts and heads are those that the library and other packages have."""
    schema = deepcopy(parse_schema())
    schema["$defs"]["dataset"]["properties"]["layout"]["enum"] = layout_names()
    schema["$defs"]["experiment"]["properties"]["head"]["enum"] = head_names(schema)
    return schema


def validate(value: dict, schema: dict, root: dict, where: str) -> dict:
    """Validate ``value`` against a part of the schema and return it with defaults filled in."""
    validator = Validator({**schema, "$defs": root["$defs"]})
    errors = sorted(validator.iter_errors(value), key=lambda error: (list(map(str, error.path)), error.validator))
    if errors:
        raise SmoosegError(explain(errors[0], where))
    return with_defaults(value, schema, root)


def check_parts(values: dict, parts: dict, root: dict, where: str) -> dict:
    """Validate values against a part of the schema each, and return them; numbers of NumPy become Python's own."""
    plain = {key: value.item() if getattr(value, "shape", None) == () else value for key, value in values.items()}
    return validate(plain, {"type": "object", "properties": parts}, root, where)


def require_text_keys(value, where: str) -> None:
    """Raise if a key is something else, as YAML makes of 1, on, yes and null."""
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if isinstance(value, dict) and not isinstance(key, str):
            place = where.removesuffix(".") or "it"
            raise SmoosegError(
                f"config: {place} has the key {key} ({type(key).__name__}), which must be text: write it in quotes"
            )
        require_text_keys(part, f"{where}{key}.")


def with_defaults(value, schema: dict, root: dict):
    """A copy of ``value`` in which every key the schema gives a default for is present."""
    schema = follow_reference(schema, root)
    if isinstance(value, list):
        return [with_defaults(part, schema.get("items", {}), root) for part in value]
    if not isinstance(value, dict):
        return value
    known = {key: follow_reference(part, root) for key, part in schema.get("properties", {}).items()}
    filled = {key: deepcopy(part["default"]) for key, part in known.items() if "default" in part} | value
    other = schema.get("additionalProperties") or {}
    return {key: with_defaults(part, known.get(key, other), root) for key, part in filled.items()}


def follow_reference(schema: dict, root: dict) -> dict:
    """A part of the schema, or what its $ref names."""
    return root["$defs"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema


def explain(error, where: str) -> str:
    """One sentence for a schema violation: the key, what came and what is allowed."""
    path = [*filter(None, [where]), *map(str, error.absolute_path)]
    rule = error.validator_value
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = next(name for name in error.instance if name not in known)
        key = ".".join([*path, str(unknown)])
        return f"config: {key} is unknown, allowed here: {', '.join(known) or 'nothing'}{similar(unknown, known)}"
    if error.validator == "required":
        return f"config: {'.'.join([*path, next(name for name in rule if name not in error.instance)])} is missing"
    if error.validator == "type":
        allowed = "must be " + " or ".join([rule] if isinstance(rule, str) else rule)
    elif error.validator == "anyOf":
        allowed = "must be " + " or ".join(str(part.get("const", part.get("type"))) for part in rule)
    elif error.validator == "uniqueItems":
        twice = next(item for i, item in enumerate(error.instance) if item in error.instance[:i])
        return f"config: {'.'.join(path)} lists {twice} twice; keep one"
    elif error.validator == "pattern" and rule in PATTERNS:
        allowed = PATTERNS[rule]
    elif error.validator == "enum":
        allowed = f"must be one of {', '.join(map(str, rule))}{similar(error.instance, rule)}"
    else:
        allowed = f"breaks the rule {error.validator}: {rule}"
    return f"config: {'.'.join(path)} {allowed}; got {error.instance!r} ({type(error.instance).__name__})"


def similar(name: str, known: list[str]) -> str:
    """A suggestion, where a known name is close."""
    hint = get_close_matches(str(name), known, 1)
    return f" (did you mean {hint[0]}?)" if hint else ""


def require_known(key: str, name: str, catalogue: dict) -> None:
    """Raise unless ``name`` is in the catalogue."""
    if name not in catalogue:
        raise SmoosegError(
            f"config: {key} names {name!r}, known: {', '.join(catalogue)}{similar(name, list(catalogue))}"
        )
