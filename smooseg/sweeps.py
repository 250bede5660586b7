"""Grids over an experiment's settings: each point is an experiment whose name says what it changed."""

from itertools import product

from .errors import SmoosegError


def values_of(value, where: str) -> list:
    """Values of one setting of a sweep: a list, {from, to, number}, or one value.

    Raises:
        SmoosegError: If a range is not complete, or a list is empty or repeats a value.
    """
    if isinstance(value, dict):
        if set(value) != {"from", "to", "number"} or not isinstance(value["number"], int) or value["number"] < 2:
            raise SmoosegError(f"config: {where} must be a list or {{from, to, number}} with number >= 2; got {value}")
        step = (value["to"] - value["from"]) / (value["number"] - 1)
        return [round(value["from"] + i * step, 6) for i in range(value["number"])]
    values = value if isinstance(value, list) else [value]
    if not values or any(v in values[:i] for i, v in enumerate(values)):
        raise SmoosegError(f"config: {where} must hold at least one value, and none twice; got {values}")
    return values


def grid(sweep: dict, where: str) -> list[dict]:
    """Every combination of a sweep's settings, as {setting: value}."""
    options = [values_of(value, f"{where}.settings.{key}") for key, value in sweep["settings"].items()]
    return [dict(zip(sweep["settings"], point, strict=True)) for point in product(*options)]


def point_name(experiment: str, point: dict) -> str:
    """Name of an experiment with some settings changed: the same for every sweep that holds it."""
    return f"{experiment}@{','.join(f'{key}={value}' for key, value in sorted(point.items()))}"


def point_experiment(base: dict, point: dict) -> dict:
    """The experiment of one point; ``clusters`` is its own key, everything else a setting of the head."""
    settings = {key: value for key, value in point.items() if key != "clusters"}
    clusters = {"clusters": point["clusters"]} if "clusters" in point else {}
    return base | clusters | {"settings": base["settings"] | settings}
