"""From a folder of masks to what other tools open: ``smooseg export``."""

from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from ...errors import SmoosegError
from . import cityscapes, coco, cvat, labelstudio
from .folder import MaskFolder

FORMATS: dict[str, ModuleType] = {"cityscapes": cityscapes, "coco": coco, "cvat": cvat, "labelstudio": labelstudio}
INSTALL = "pip install pycocotools cvat-sdk"


def export(masks: Path, to: str, out: Path) -> list[Path]:
    """Write the masks of a folder in a format of others.

    Args:
        masks: Folder that ``smooseg segment`` or ``fit`` wrote.
        to: Key of :data:`FORMATS`.
        out: Folder to write to.

    Returns:
        What was written.

    Raises:
        SmoosegError: If the format's library is not installed, the folder is none of masks, any of them cannot be used
            (all are named), or something lies there already.
    """
    chosen = FORMATS[to]
    if chosen.LIBRARY and not find_spec(chosen.LIBRARY):
        raise SmoosegError(f"--to {to}: needs {chosen.LIBRARY}, which is not installed here; {INSTALL}")
    written = [out / name for name in chosen.FILES]
    if there := [str(path) for path in written if path.exists()]:
        raise SmoosegError(f"{', '.join(there)}: exists already; give another --out, or delete it")
    folder = MaskFolder(masks)
    if not folder.masks:
        raise SmoosegError(f"{masks}: holds no mask")
    chosen.write(folder, out)
    return written
