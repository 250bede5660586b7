"""What somebody chooses for a head of their own: which, its settings or a preset, and the backbone that it needs."""

from dataclasses import dataclass
from typing import Any

from ..errors import SmoosegError
from .catalogue import catalogue_path, find_backbone
from .files import over_catalogue, read_config
from .heads import AUTO, SUPERVISED, check_backbone, check_clusters, demands, head_names, head_schema
from .renamed import drop_gone, head_name
from .schema import load_schema, similar, validate

HEAD, BACKBONE = "smooseg_plus", "dinov2_s14_focus"  # where nobody chooses others
BLOCKS = 3  # whose keys are taken, up to the backbone's block
SUFFIXES = {"keys": "_keys", "entering": "_entering"}  # of backbones' names in the catalogue


def blind_heads(schema: dict | None = None) -> list[str]:
    """Names of all heads that are trained without labels, those of other packages too."""
    return [name for name in head_names(schema or load_schema()) if name not in SUPERVISED]


@dataclass(frozen=True)
class Choice:
    """A head to fit, with all that decides it but the features.

    Args:
        head: Its name.
        clusters: How many, or "auto".
        settings: Its hyperparameters, complete.
        backbone: Name of the backbone, which gives what the head needs.
        entry: The backbone's entry of the catalogue; None for features of somebody's own.
        seed: Fixes initialisation and order.
    """

    head: str
    clusters: int | str
    settings: dict
    backbone: str
    entry: dict | None
    seed: int = 0

    @property
    def inputs(self) -> list[str]:
        """What the head is trained from besides features."""
        return head_schema(load_schema(), self.head).get("inputs", [])


def choose(
    head: str = HEAD,
    clusters: int | str | None = 2,
    backbone: str | dict | tuple[str, dict] = BACKBONE,
    preset: str | None = None,
    settings: dict[str, Any] | None = None,
    seed: int = 0,
) -> Choice:
    """A head with its settings, and the backbone that it needs.

    Args:
        head: One of :func:`blind_heads`.
        clusters: How many; None and "auto" let the head choose.
        backbone: Name in the catalogue, an entry as there, or both of one whose features are there
            already. A head that needs keys, or the tokens that enter a block, gets those of the same network.
        preset: Name of a preset of the head, see :func:`preset_settings`.
        settings: Hyperparameters; where the preset says others, these count.
        seed: Fixes initialisation and order.

    Raises:
        SmoosegError: If something is unknown, or the backbone cannot give what the head needs.
    """
    head = head_name(head)
    schema, settings = load_schema(), preset_settings(head, preset) | (settings or {})
    complete = head_settings(head, settings, schema)
    part = head_schema(schema, head)
    fixed = isinstance(backbone, tuple)
    name, entry = backbone if isinstance(backbone, tuple) else find_backbone(backbone)
    name, entry = (name, entry) if fixed else fitting_backbone(demands(part, complete), name, entry)
    check_backbone("fit", (head, part), complete, (name, entry))
    if complete.get("subtract_mean", False) is None:
        complete["subtract_mean"] = entry["subtract_mean"]
    clusters = AUTO if clusters is None else clusters
    check_clusters("fit", head, clusters, complete)
    return Choice(head, clusters, complete, name, entry, seed)


def head_settings(head: str, settings: dict, schema: dict | None = None) -> dict:
    """Settings of a head with every default filled in.

    Raises:
        SmoosegError: If there is no such head, it is trained with labels, or a setting is unknown or out of range.
    """
    schema = schema or load_schema()
    if head in SUPERVISED:
        raise SmoosegError(
            f"head {head!r} is trained with labels, which fit never sees; choose one of {list_known(schema)}"
        )
    if head not in blind_heads(schema):
        raise SmoosegError(f"head {head!r} is none of {list_known(schema)}{similar(head, blind_heads(schema))}")
    drop_gone(head, settings := dict(settings), head)
    return validate(settings, head_schema(schema, head), schema, head)


def list_known(schema: dict) -> str:
    """The heads that can be chosen, for an error."""
    return ", ".join(blind_heads(schema))


def fitting_backbone(wanted: dict[str, tuple[object, str]], name: str, entry: dict) -> tuple[str, dict]:
    """A backbone that gives what a head needs: keys of its last blocks, or the tokens that enter the next one.

    Args:
        wanted: What :func:`smooseg.settings.heads.demands` returned.
        name, entry: Of the backbone that was chosen, which is returned where it does.
    """
    block, values = entry["block"], {key: value for key, (value, _) in wanted.items()}
    if not isinstance(block, int):
        return name, entry
    if values.get("features") == "keys" != entry["features"]:
        blocks = [block - number for number in reversed(range(BLOCKS))]
        return name + SUFFIXES["keys"], entry | {"features": "keys", "block": blocks, "norm": False}
    if values.get("prefix") and not entry["prefix"]:
        return name + SUFFIXES["entering"], entry | {"prefix": True, "block": block - 1, "norm": False}
    return name, entry


def presets_of(head: str) -> dict[str, dict]:
    """Settings by preset, of the catalogue and of the configuration of this folder."""
    return over_catalogue(read_config(catalogue_path()))["presets"].get(head, {})


def preset_settings(head: str, preset: str | None) -> dict:
    """Settings of a head under a name, as ``released``, the authors', or ``small``, for a few minutes of a CPU.

    Raises:
        SmoosegError: If the head has no such preset.
    """
    if preset is None:
        return {}
    found = presets_of(head)
    if preset not in found:
        what = f"has the presets {', '.join(found)}" if found else "has no preset"
        raise SmoosegError(f"head {head} {what}, and not {preset}")
    return found[preset]
