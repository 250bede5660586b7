"""Grids over an experiment's settings: each point is an experiment whose name says what it changed."""

from itertools import product
from math import prod

from ..errors import SmoosegError

DIGITS = 6  # significant ones of the values of a range
MOST = 10_000  # points of a sweep, and values of a range; more are a slip


def values_of(value, where: str) -> list:
    """Values of one setting of a sweep: a list, {from, to, number}, or one value.

    Raises:
        SmoosegError: If a range is not complete, or a list is empty or repeats a value.
    """
    values = space_evenly(value, where) if isinstance(value, dict) else value if isinstance(value, list) else [value]
    if not values or any(v in values[:i] for i, v in enumerate(values)):
        raise SmoosegError(f"config: {where} must hold at least one value, and none twice; got {values}")
    return values


def space_evenly(ends: dict, where: str) -> list:
    """Evenly spaced values of a range; whole numbers where they all are."""
    numbers = [ends[key] for key in ("from", "to", "number") if key in ends]
    real = all(type(n) in (int, float) and abs(n) < 1e300 for n in numbers)  # not nan either
    if set(ends) != {"from", "to", "number"} or not real or numbers[2] not in range(2, MOST + 1):
        raise SmoosegError(
            f"config: {where} must be a list or {{from, to, number}} with numbers, 2 to {MOST} of them; got {ends}"
        )
    first, last, number = numbers
    values = [float(f"{first + i * (last - first) / (number - 1):.{DIGITS}g}") for i in range(int(number))]
    whole = all(isinstance(end, int) for end in (first, last)) and all(v.is_integer() for v in values)
    return [int(v) for v in values] if whole else values


def grid(sweep: dict, where: str) -> list[dict]:
    """Every combination of a sweep's settings, as {setting: value}.

    Raises:
        SmoosegError: As :func:`values_of`, or if there are too many.
    """
    options = [values_of(value, f"{where}.settings.{key}") for key, value in sweep["settings"].items()]
    if (points := prod(map(len, options))) > MOST:
        raise SmoosegError(f"config: {where} has {points} points; take {MOST} at most")
    return [dict(zip(sweep["settings"], point, strict=True)) for point in product(*options)]


def varied_settings(sweep: dict) -> list[str]:
    """Settings of a sweep that have several values."""
    return [key for key, value in sweep["settings"].items() if len(values_of(value, key)) > 1]


def point_name(experiment: str, point: dict) -> str:
    """Name of an experiment with some settings changed: the same for every sweep that holds it."""
    return f"{experiment}@{','.join(f'{key}={value}' for key, value in sorted(point.items()))}"


def point_experiment(base: dict, point: dict) -> dict:
    """The experiment of one point; ``clusters`` is its own key, everything else a setting of the head."""
    settings = {key: value for key, value in point.items() if key != "clusters"}
    clusters = {"clusters": point["clusters"]} if "clusters" in point else {}
    return base | clusters | {"settings": base["settings"] | settings}
