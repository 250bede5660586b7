"""What a head takes: its settings, what it needs of a cache, and what else it is trained from."""

from ..errors import SmoosegError
from ..running.plugins import load_plugin, plugins

AUTO = "auto"  # in place of a number of clusters: the head chooses it, without labels
CHOOSING = {"smooseg_plus": "partitions"}  # heads that do, and the setting that must not be 0
INPUTS = ("weights", "proposals", "pictures", "base")  # that a head can ask for; labels are for ours alone
SUPERVISED = {"linear"}  # heads that are trained with labels; everything else never sees one


def head_names(schema: dict) -> list[str]:
    """Our heads and those of other packages."""
    return sorted([*schema["$defs"]["heads"], *plugins("heads")])


def head_schema(schema: dict, name: str) -> dict:
    """A head's part of the schema; that of another package's head is its ``schema``.

    Returns:
        A JSON schema of its settings, each with a default, the head's title, and beside it ``needs`` and ``inputs``.

    Raises:
        SmoosegError: If another package's head does not load, has settings without a default, or asks for other
            inputs than :data:`INPUTS`.
    """
    if name in schema["$defs"]["heads"]:
        return schema["$defs"]["heads"][name]
    found = load_plugin("heads", name).schema
    if not isinstance(found, dict) or not all("default" in part for part in found.get("properties", {}).values()):
        raise SmoosegError(f"head {name}: its schema must be a mapping whose properties have a default each")
    if unknown := [key for key in found.get("inputs", []) if key not in INPUTS]:
        raise SmoosegError(f"head {name}: its schema asks for inputs that no head gets: {', '.join(unknown)}")
    missing = {"title": name, "description": name, "properties": {}}
    return {"type": "object", "additionalProperties": False} | missing | found


def demands(head: dict, settings: dict) -> dict[str, tuple[object, str]]:
    """What a head asks of a backbone's entry: for its keys the value, and the setting that asks for it ("" for none).

    Args:
        head: Its part of the schema. ``needs`` stands at its top, or at a setting that is a choice, by value.
        settings: Resolved.
    """
    found = {"prefix": (False, "")} | {key: (value, "") for key, value in head.get("needs", {}).items()}
    for name, part in head["properties"].items():
        needs = part.get("needs", {}).get(settings[name], {})
        found |= {key: (value, f" with {name} {settings[name]}") for key, value in needs.items()}
    return found


def check_backbone(where: str, head: tuple[str, dict], settings: dict, backbone: tuple[str, dict]) -> None:
    """Raise if a head needs another cache than its backbone's entry makes.

    Args:
        where: Key of the experiment.
        head: Name and part of the schema.
        settings: Of the head, resolved.
        backbone: Name and entry.
    """
    for key, (value, asking) in demands(head[1], settings).items():
        if (has := backbone[1][key]) != value:
            wanted, found = (str(said).lower() for said in (value, has))  # as YAML has it
            raise SmoosegError(
                f"config: {where}: head {head[0]}{asking} needs a backbone whose entry says {key}: {wanted}, "
                f"and {backbone[0]} says {found}; choose or add another entry"
            )


def check_clusters(where: str, head: str, clusters: int | str, settings: dict) -> None:
    """Raise if a head is to choose its number of clusters and cannot.

    Args:
        where: What has it, for the message.
        head: Its name.
        clusters: Number, or :data:`AUTO`.
        settings: Resolved.
    """
    if clusters == AUTO and not settings.get(CHOOSING.get(head, "")):
        able = " or ".join(f"{name} with {setting}" for name, setting in CHOOSING.items())
        raise SmoosegError(f"{where}: a {head} head cannot choose its number of clusters; give one, or take {able}")


def proposal_settings(proposals: dict, backbone: dict) -> dict:
    """What mask proposals depend on, apart from the cache and the CRF.

    Args:
        proposals: That part of the configuration.
        backbone: Its entry.
    """
    chosen = proposals["subtract_mean"]
    return proposals | {"subtract_mean": backbone["subtract_mean"] if chosen is None else chosen}


def check_bases(experiments: dict) -> None:
    """Raise if a head's setting ``base`` names an experiment whose head it cannot be put on.

    Args:
        experiments: By name, completed.
    """
    for name, experiment in experiments.items():
        where, seen, base = f"config: experiments.{name}.settings.base", {name}, experiment["settings"].get("base")
        while base is not None:
            if base not in experiments:
                raise SmoosegError(f"{where} names {base!r}, which is no experiment")
            other = experiments[base]
            if other["head"] in SUPERVISED:
                raise SmoosegError(f"{where}: {base} is trained with labels, which no other head may see")
            for key in ("dataset", "backbone", "clusters"):
                if other[key] != experiment[key]:
                    raise SmoosegError(f"{where}: {base} has {key} {other[key]}, and {name} {experiment[key]}")
            if base in seen:
                raise SmoosegError(f"{where}: {base} would be put on itself")
            seen.add(base)
            base = other["settings"].get("base")
