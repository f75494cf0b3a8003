"""One drawing in the forms that the tools write it in: two objects on frames of 48x64."""

import base64
import io
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

HEIGHT, WIDTH = 48, 64


def box(number: int, shift: int = 0) -> np.ndarray:
    """Object 1 or 2 as a mask (48,64), moved to the right."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    if number == 1:
        mask[5:25, 4 + shift : 24 + shift] = True
    else:
        mask[20:44, 30 + shift : 50 + shift] = True
    return mask


def label_map(shift: int = 0, ids: tuple[int, int] = (1, 2)) -> np.ndarray:
    """Both objects (48,64), the second on top."""
    drawn = np.zeros((HEIGHT, WIDTH), np.uint16)
    for number, value in zip((1, 2), ids, strict=True):
        drawn[box(number, shift)] = value
    return drawn


def corners(mask: np.ndarray, last: int = 0) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a box; `last` = 1 gives its last pixels instead of the ones behind."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1 - last, int(rows[-1]) + 1 - last


def polygon(mask: np.ndarray, last: int = 0) -> list[tuple[int, int]]:
    left, top, right, bottom = corners(mask, last)
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def png_text(mask: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def labelme_shape(label: str, mask: np.ndarray, kind: str = "polygon", group: int | None = None) -> dict[str, Any]:
    left, top, right, bottom = corners(mask, 1)
    points: list[Any] = [[left, top], [right, bottom]]
    if kind == "polygon":
        points = [list(point) for point in polygon(mask, 1)]
    shape = {"label": label, "points": points, "group_id": group, "shape_type": kind, "flags": {}}
    if kind == "mask":
        shape["mask"] = png_text(mask[top : bottom + 1, left : right + 1])
    return shape


def labelme(path: Path, *shapes: dict[str, Any], **more: Any) -> Path:
    payload = {
        "version": "5.4.1", "flags": {}, "shapes": list(shapes), "imagePath": f"{path.stem}.jpg", "imageData": None,
        "imageHeight": HEIGHT, "imageWidth": WIDTH, **more,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(payload))
    return path


def rle(mask: np.ndarray, *, compressed: bool = True) -> dict[str, Any]:
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    if compressed:
        return {"size": [HEIGHT, WIDTH], "counts": encoded["counts"].decode()}
    flat = mask.ravel(order="F").astype(int)
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return {"size": [HEIGHT, WIDTH], "counts": ([0] if flat[0] else []) + counts}


def coco(path: Path, frames: dict[str, list[dict[str, Any]]], categories: dict[int, str], **more: Any) -> Path:
    """Write annotations, each lacking `id` and `image_id`, by file name."""
    images = [
        {"id": number, "file_name": name, "height": HEIGHT, "width": WIDTH} for number, name in enumerate(frames, 1)
    ]
    annotations = [
        {"id": 10 * number + k, "image_id": number, "iscrowd": 0, **annotation}
        for number, listed in enumerate(frames.values(), 1)
        for k, annotation in enumerate(listed)
    ]
    named = [{"id": number, "name": name} for number, name in categories.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": named, **more}))
    return path


def cvat_runs(mask: np.ndarray) -> dict[str, str]:
    """The attributes of CVAT's `<mask>`: runs along the rows of the box, background first."""
    left, top, right, bottom = corners(mask)
    flat = mask[top:bottom, left:right].ravel().astype(int)
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    counts = ([0] if flat[0] else []) + counts
    return {
        "rle": ", ".join(map(str, counts)), "left": str(left), "top": str(top),
        "width": str(right - left), "height": str(bottom - top),
    }  # fmt: skip


def supervisely_object(title: str, mask: np.ndarray) -> dict[str, Any]:
    left, top, right, bottom = corners(mask)
    buffer = io.BytesIO()
    Image.fromarray((mask[top:bottom, left:right] * 255).astype(np.uint8)).save(buffer, "PNG")
    data = base64.b64encode(zlib.compress(buffer.getvalue())).decode()
    return {"classTitle": title, "geometryType": "bitmap", "bitmap": {"data": data, "origin": [left, top]}}
