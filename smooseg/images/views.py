"""Views: square crop boxes of images at one size.

A view is never written back as an image. Its box holds pixels of the source image; resizing the
box to the view's size equals resizing the shorter side first and cropping the centre after.
"""

import numpy as np

LEAST = {"whole": 1, "five": 2}  # shorter side (pixels) of an image that can be cropped so


def centre_square(left: int, top: int, width: int, height: int) -> tuple[int, int, int, int]:
    """Largest centred square of a box, as (left, top, right, bottom) in pixels."""
    side = min(width, height)
    x, y = left + (width - side) // 2, top + (height - side) // 2
    return x, y, x + side, y + side


def crop_boxes(width: int, height: int, crops: str) -> list[tuple[int, int, int, int]]:
    """Boxes of an image's views.

    Args:
        width, height: The image's size in pixels.
        crops: "whole" (the centre square) or "five" (four corners and the centre, half the sides each).
    """
    if crops == "whole":
        return [centre_square(0, 0, width, height)]
    w, h = width // 2, height // 2
    corners = [(0, 0), (width - w, 0), (0, height - h), (width - w, height - h)]
    corners.append(((width - w) // 2, (height - h) // 2))
    return [centre_square(x, y, w, h) for x, y in corners]


def window_boxes(width: int, height: int, side: int) -> list[tuple[int, int, int, int]]:
    """Squares of a side that cover an image, evenly spread; they overlap where its sides are no multiples of it.

    Args:
        width, height: The image's size in pixels.
        side: In pixels; that of the image's shorter one where it is smaller.
    """
    side = min(side, width, height)
    across, down = (
        np.linspace(0, length - side, -(-length // side)).round().astype(int).tolist() for length in (width, height)
    )
    return [(x, y, x + side, y + side) for y in down for x in across]
