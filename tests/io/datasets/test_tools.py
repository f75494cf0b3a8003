"""Annotation files of other tools: every kind of shape, ids, names, and what is wrong with them.

Covers: io.datasets.formats, io.datasets.ids, io.datasets.label_map_folders, io.datasets.object_ids,
io.datasets.shapes, io.datasets.tools.coco, io.datasets.tools.cvat, io.datasets.tools.labelme,
io.datasets.tools.supervisely, io.datasets.tools.via, io.datasets.tools.voc, io.datasets.tools.yolo
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.io.datasets.drawn import (
    HEIGHT,
    WIDTH,
    box,
    coco,
    corners,
    cvat_runs,
    label_map,
    labelme,
    labelme_shape,
    png_text,
    polygon,
    rle,
    supervisely_object,
)
from vossegcli.errors import InputError
from vossegcli.io.datasets.annotations import read_annotated_images
from vossegcli.io.datasets.coco_results import read_instance_truth
from vossegcli.io.datasets.formats import is_annotation, read_annotations
from vossegcli.io.datasets.label_map_folders import read_classes, write_label_maps
from vossegcli.io.datasets.shapes import Annotations
from vossegcli.io.masks.label_maps import read_written_ids
from vossegcli.io.masks.palette import PALETTE


def converted(path: Path, tmp_path: Path, name: str = "00000.png") -> np.ndarray:
    """The label map that is made of a path."""
    written = write_label_maps(read_annotations(path), tmp_path / "written")
    return read_written_ids(written.folder / name)


def names(tmp_path: Path, below: str = ".") -> dict[int, str]:
    return read_classes(tmp_path / "written" / below)


def flat(points: list[tuple[int, int]]) -> list[int]:
    return [v for point in points for v in point]


@pytest.mark.parametrize("kind", ["polygon", "rectangle", "mask"])
def test_shapes_of_labelme(tmp_path: Path, kind: str) -> None:
    path = labelme(
        tmp_path / "00000.json", labelme_shape("cat", box(1), kind), labelme_shape("dog", box(2), kind, group=None)
    )
    assert is_annotation(path)
    assert np.array_equal(converted(path, tmp_path), label_map())
    assert names(tmp_path) == {1: "cat", 2: "dog"}


def test_a_circle_of_labelme(tmp_path: Path) -> None:
    circle = {"label": "a", "points": [[30, 20], [30, 30]], "shape_type": "circle", "group_id": None}
    found = converted(labelme(tmp_path / "00000.json", circle), tmp_path) > 0
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    disc = np.hypot(columns - 30, rows - 20) <= 10.3
    assert (found & disc).sum() / (found | disc).sum() > 0.97


def test_group_ids_of_labelme_are_ids_and_join_parts(tmp_path: Path) -> None:
    parts = box(1).copy(), box(1).copy()
    parts[0][:, 12:] = False
    parts[1][:, :16] = False
    shapes = [labelme_shape("cat", part, group=3) for part in parts] + [labelme_shape("cat", box(2), group=7)]
    found = converted(labelme(tmp_path / "00000.json", *shapes), tmp_path)
    assert np.array_equal(found == 3, parts[0] | parts[1])
    assert np.array_equal(found == 7, box(2))
    assert names(tmp_path) == {3: "cat 3", 7: "cat 7"}


def test_labelme_without_size_takes_the_picture_in_it_or_beside_it(tmp_path: Path) -> None:
    shape = labelme_shape("cat", box(1))
    inside = labelme(tmp_path / "00000.json", shape, imageHeight=None, imageWidth=None, imageData=png_text(box(1)))
    assert np.array_equal(converted(inside, tmp_path), box(1))
    Image.fromarray(box(1)).save(tmp_path / "00001.png")
    beside = labelme(tmp_path / "00001.json", shape, imageHeight=None, imageWidth=None)
    assert np.array_equal(converted(beside, tmp_path, "00001.png"), box(1))
    alone = labelme(tmp_path / "other" / "00002.json", shape, imageHeight=None, imageWidth=None)
    with pytest.raises(InputError, match="its image is not beside it"):
        read_annotations(alone)


def test_the_image_of_labelme_is_where_the_file_says(tmp_path: Path) -> None:
    (tmp_path / "far" / "pictures").mkdir(parents=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "far" / "pictures" / "0.png")
    shape = labelme_shape("cat", box(1))
    for given in ("../far/pictures/0.png", "..\\far\\pictures\\0.png"):
        path = labelme(tmp_path / "set" / "0.json", shape, imagePath=given)
        (image,) = read_annotated_images(path).images
        assert image.path.samefile(tmp_path / "far" / "pictures" / "0.png")


def test_a_folder_of_labelme_follows_labels_over_frames(tmp_path: Path) -> None:
    """Without group ids a label is the object, however the shapes of a frame are ordered."""
    folder = tmp_path / "set"
    labelme(folder / "00000.json", labelme_shape("b", box(2)), labelme_shape("a", box(1)))
    labelme(folder / "00001.json", labelme_shape("a", box(1, 5)))
    labelme(folder / "00002.json")
    assert np.array_equal(converted(folder, tmp_path), label_map())
    assert np.array_equal(converted(folder, tmp_path, "00001.png"), box(1, 5))
    assert not converted(folder, tmp_path, "00002.png").any()
    assert names(tmp_path) == {1: "a", 2: "b"}


def test_faults_of_labelme_are_listed_all_and_harmless_ones_counted(tmp_path: Path) -> None:
    point = {"label": "p", "points": [[1, 2]], "shape_type": "point"}
    two = {"label": "t", "points": [[1, 2], [3, 4]], "shape_type": "polygon"}
    path = labelme(tmp_path / "00000.json", point, two, labelme_shape("cat", box(1)))
    found = read_annotations(path)
    assert [shape.label for shape in found.images[0].shapes] == ["cat"]
    assert found.notes == ("left out: 2 shapes of labelme without area",)
    broken = {"label": "x", "points": [[1, "a"]], "shape_type": "polygon"}
    path = labelme(tmp_path / "00001.json", broken, labelme_shape("cat", box(1)), {"label": "y", "points": 3})
    with pytest.raises(InputError, match=r"shape 1: .*shape 3: "):
        read_annotations(path)


@pytest.mark.parametrize("form", ["polygon", "compressed", "runs"])
def test_segmentations_of_coco(tmp_path: Path, form: str) -> None:
    def segmentation(mask: np.ndarray) -> Any:
        if form == "polygon":
            return [flat(polygon(mask))]
        return rle(mask, compressed=form == "compressed")

    annotations = [{"category_id": 3, "segmentation": segmentation(box(1))},
                   {"category_id": 7, "segmentation": segmentation(box(2))}]  # fmt: skip
    path = coco(tmp_path / "x.json", {"00000.jpg": annotations}, {3: "cat", 7: "dog"})
    assert np.array_equal(converted(path, tmp_path), label_map(ids=(3, 7)))
    assert names(tmp_path) == {3: "cat", 7: "dog"}


def test_track_ids_of_coco_are_ids(tmp_path: Path) -> None:
    frames = {
        f"clip/{n:05d}.jpg": [
            {"category_id": 1, "segmentation": rle(box(1, n)), "track_id": 9},
            {"category_id": 1, "segmentation": rle(box(2, n)), "attributes": {"track_id": 4}},
        ]
        for n in range(2)
    }
    path = coco(tmp_path / "x.json", frames, {1: "cell"})
    assert np.array_equal(converted(path, tmp_path, "clip/00001.png"), label_map(1, ids=(9, 4)))
    assert names(tmp_path, "clip") == {4: "cell 4", 9: "cell 9"}


def test_two_of_a_class_without_track_ids_are_numbered(tmp_path: Path) -> None:
    annotations = [{"category_id": 5, "segmentation": rle(box(k))} for k in (1, 2)]
    path = coco(tmp_path / "x.json", {"00000.jpg": annotations}, {5: "cell"})
    assert np.array_equal(converted(path, tmp_path), label_map())
    assert names(tmp_path) == {1: "cell 1", 2: "cell 2"}


def test_youtube_vis_gives_the_frames_of_its_videos(tmp_path: Path) -> None:
    payload = {
        "videos": [{"id": 1, "file_names": ["clip/0.jpg", "clip/1.jpg"], "height": HEIGHT, "width": WIDTH}],
        "annotations": [{"id": 6, "video_id": 1, "category_id": 1, "segmentations": [None, rle(box(2))]},
                        {"id": 5, "video_id": 1, "category_id": 1, "segmentations": [rle(box(1)), rle(box(1))]}],
        "categories": [{"id": 1, "name": "cat"}],
    }  # fmt: skip
    (tmp_path / "v.json").write_text(json.dumps(payload))
    assert np.array_equal(converted(tmp_path / "v.json", tmp_path, "clip/0.png"), box(1) * 5)
    assert np.array_equal(converted(tmp_path / "v.json", tmp_path, "clip/1.png") == 5, box(1))


def test_ids_of_coco_in_any_spelling(tmp_path: Path) -> None:
    payload = {
        "images": [{"id": "000139", "file_name": "a.jpg", "height": 48.0, "width": 64},
                   {"id": 2.0, "file_name": "b.jpg", "height": 48, "width": 64}],
        "annotations": [{"id": 1, "image_id": "000139", "category_id": "1", "segmentation": rle(box(1))},
                        {"id": 2, "image_id": 2, "category_id": 1.0, "segmentation": rle(box(2))},
                        {"id": 3, "image_id": "2", "category_id": 1, "segmentation": rle(box(1))}],
        "categories": [{"id": "1", "name": "cat"}],
    }  # fmt: skip
    (tmp_path / "x.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(payload).encode())
    found = read_annotations(tmp_path / "x.json")
    assert [(image.name, [s.label for s in image.shapes]) for image in found.images] == [
        ("a.jpg", ["cat"]), ("b.jpg", ["cat", "cat"])
    ]  # fmt: skip


def test_what_does_no_harm_in_coco_is_left_out_and_counted(tmp_path: Path) -> None:
    annotations = [
        {"category_id": 1, "segmentation": [flat(polygon(box(1))), [3, 4], [3, 4, 5, 6], []]},
        {"category_id": 1, "segmentation": []},
        {"category_id": 1, "segmentation": [[1, 2]]},
        {"category_id": 1, "bbox": [1, 2, 3, 4]},
        {"category_id": 1, "segmentation": rle(box(1)), "iscrowd": 1},
        {"category_id": 1, "segmentation": rle(box(2)), "image_id": 99},
    ]
    found = read_annotations(coco(tmp_path / "x.json", {"a.jpg": annotations}, {1: "cat"}))
    (image,) = found.images
    assert len(image.shapes) == 1
    assert np.array_equal(image.shapes[0].mask(), box(1))
    assert found.notes == (
        "left out: 2 annotations with nothing but degenerate polygons", "left out: 1 annotation without mask",
        "left out: 1 crowd", "left out: 1 annotation of images that are not listed",
    )  # fmt: skip


@pytest.mark.parametrize("form", ["pairs", "flat", "both"])
def test_polygons_of_coco_in_other_forms(tmp_path: Path, form: str) -> None:
    pairs = [list(point) for point in polygon(box(1))]
    segmentation = {"pairs": [pairs], "flat": flat(polygon(box(1))), "both": [pairs, [1, 2]]}[form]
    path = coco(tmp_path / "x.json", {"a.jpg": [{"category_id": 1, "segmentation": segmentation}]}, {1: "cat"})
    assert np.array_equal(read_annotations(path).images[0].shapes[0].mask(), box(1))


@pytest.mark.parametrize(
    ("value", "crowd"), [(0, False), (1, True), ("0", False), ("1", True), (False, False), ("false", False)]
)
def test_crowds_of_coco_in_any_spelling(tmp_path: Path, value: object, *, crowd: bool) -> None:
    annotation = {"category_id": 1, "segmentation": rle(box(1)), "iscrowd": value}
    plain = annotation | {"segmentation": rle(box(2)), "iscrowd": 0}  # a file of crowds alone means objects
    path = coco(tmp_path / "x.json", {"a.jpg": [annotation, plain]}, {1: "cat"})
    assert len(read_annotations(path).images[0].shapes) == 2 - crowd
    one, _ = read_instance_truth(path, "segm")["annotations"]
    assert one["iscrowd"] == crowd


def test_captions_are_no_annotations(tmp_path: Path) -> None:
    coco(tmp_path / "instances.json", {"a.jpg": [{"category_id": 1, "segmentation": rle(box(1))}]}, {1: "cat"})
    captions = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 1, "caption": "a cat"}]}
    (tmp_path / "captions.json").write_text(json.dumps(captions))
    assert len(read_annotations(tmp_path).images) == 1


def test_parts_of_a_data_set_are_told_by_the_folders_of_their_files(tmp_path: Path) -> None:
    """Roboflow: train/, valid/ and test/, each with a file of its own that names images without folder."""
    for part in ("train", "valid", "test"):
        (tmp_path / part).mkdir()
        shapes = {f"{part}.jpg": [{"category_id": 1, "segmentation": rle(box(1))}]}
        coco(tmp_path / part / "_annotations.coco.json", shapes, {1: "cat"})
    for subset, name, others in (("train", "train.jpg", ("test", "valid")), ("val", "valid.jpg", ("test", "train"))):
        found = read_annotations(tmp_path, subset)
        assert [image.name for image in found.images] == [name]
        files = ", ".join(f"{other}/_annotations.coco.json" for other in others)
        assert found.notes == (f"2 images of other parts than '{subset}' were left out: {files}",)
    assert len(read_annotations(tmp_path).images) == 3


def test_files_are_parts_by_their_names_at_any_depth_unless_they_are_named_after_their_image(tmp_path: Path) -> None:
    for name in ("cats/train", "cats/val", "dogs/dogs_test", "birds"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shapes = {f"{Path(name).name}-0.jpg": [{"category_id": 1, "segmentation": rle(box(1))}]}
        coco(tmp_path / f"{name}.json", shapes, {1: "cat"})
    found = read_annotations(tmp_path, "train")
    assert [(image.name, image.dataset) for image in found.images] == [
        ("birds-0.jpg", "birds"),
        ("train-0.jpg", "cats"),
    ]
    assert found.notes == ("2 images of other parts than 'train' were left out: cats/val.json, dogs/dogs_test.json",)
    assert [image.name for image in read_annotations(tmp_path, "val").images] == ["val-0.jpg"]
    (tmp_path / "cats/val.json").unlink()
    assert [image.name for image in read_annotations(tmp_path, "val").images] == ["dogs_test-0.jpg"]
    for name in ("test_1", "other"):
        labelme(tmp_path / "labelme" / f"{name}.json")
    assert len(read_annotations(tmp_path / "labelme", "train").images) == 2


def test_files_of_another_tool_are_told(tmp_path: Path) -> None:
    coco(tmp_path / "instances.json", {"a.jpg": [{"category_id": 1, "segmentation": rle(box(1))}]}, {1: "cat"})
    labelme(tmp_path / "more" / "b.json")
    found = read_annotations(tmp_path)
    assert [image.name for image in found.images] == ["a.jpg"]
    assert found.notes == ("left out, as of another tool than the rest (give them by themselves): more/b.json",)


def via_region(kind: str, **numbers: Any) -> dict[str, Any]:
    return {"shape_attributes": {"name": kind, **numbers}, "region_attributes": {"Class": "cat"}}


@pytest.mark.parametrize("version", [1, 2, "project"])
def test_via(tmp_path: Path, version: object) -> None:
    """Version 1 numbers the regions, version 2 lists them; a project has both in a field of its own."""
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "a.jpg")
    xs, ys = zip(*polygon(box(1)), strict=True)
    regions = [
        via_region("polygon", all_points_x=xs, all_points_y=ys), via_region("circle", cx=20, cy=20, r=6),
        via_region("rect", x=10, y=5, width=8, height=9), via_region("point", cx=3, cy=3),
        {**via_region("ellipse", cx=20, cy=20, rx=8, ry=4), "region_attributes": {"kind": {"dog": True}}},
    ]  # fmt: skip
    listed = dict(enumerate(regions)) if version == 1 else regions
    payload: dict[str, Any] = {"a.jpg77": {"filename": "a.jpg", "size": 77, "regions": listed, "file_attributes": {}}}
    if version == "project":
        payload = {"_via_settings": {}, "_via_img_metadata": payload, "_via_attributes": {}}
    (tmp_path / "regions.json").write_text(json.dumps(payload))
    assert is_annotation(tmp_path)
    found = read_annotations(tmp_path / "regions.json")
    (image,) = found.images
    assert [shape.label for shape in image.shapes] == ["cat", "cat", "cat", "dog"]
    assert np.array_equal(image.shapes[0].mask(), box(1))
    assert image.shapes[2].mask().sum() == 72
    assert found.notes == ("left out: 1 region of the kind 'point'",)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a.jpg").rename(tmp_path / "elsewhere" / "a.jpg")
    with pytest.raises(InputError, match=r"a\.jpg: is not found: VIA does not say the sizes"):
        read_annotations(tmp_path / "regions.json")
    assert len(read_annotations(tmp_path / "regions.json", images=tmp_path / "elsewhere").images) == 1


def test_faults_of_via(tmp_path: Path) -> None:
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "a.jpg")
    regions = [via_region("cube"), via_region("rect", x=1), via_region("rect", x=1, y=1, width=0, height=9), {}]
    (tmp_path / "r.json").write_text(json.dumps({"a": {"filename": "a.jpg", "regions": regions}}))
    with pytest.raises(InputError, match=r"region 1: .*'cube'.*region 2: .*'y'.*region 4: "):
        read_annotations(tmp_path / "r.json")


def test_the_own_json_of_label_studio_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps([{"id": 1, "data": {"image": "a.jpg"}, "annotations": []}]))
    with pytest.raises(InputError, match="is Label Studio's own JSON"):
        read_annotations(tmp_path / "x.json")


def test_what_looks_wrong_in_coco_is_told(tmp_path: Path) -> None:
    """Polygons of another size than the file says, classes that are not listed, objects of no pixel."""
    beyond = [[WIDTH - 9, 5, WIDTH + 30, 5, WIDTH + 30, 20]]
    annotations = [
        {"category_id": 1, "segmentation": [flat(polygon(box(1)))]},
        {"category_id": 1, "segmentation": beyond},
        {"category_id": 7, "segmentation": rle(box(2))},
        {"category_id": 1, "segmentation": {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]}},
    ]
    found = read_annotations(coco(tmp_path / "x.json", {"a.jpg": annotations}, {1: "cat"}))
    assert [shape.label for shape in found.images[0].shapes] == ["cat", "cat", "7"]
    assert found.notes == (
        "left out: 1 annotation without a pixel",
        "1 annotation reaches beyond the image: was another size annotated?",
        "1 annotation has a category that is not listed: it is called by its number",
    )


def test_coordinates_that_are_shares_are_refused(tmp_path: Path) -> None:
    shares = [[0.1, 0.1, 0.5, 0.1, 0.5, 1.0]]
    path = coco(tmp_path / "x.json", {"a.jpg": [{"category_id": 1, "segmentation": shares}]}, {1: "cat"})
    with pytest.raises(InputError, match="coordinates are shares of the image's size"):
        read_annotations(path)


def test_all_faults_of_coco_are_listed_by_id(tmp_path: Path) -> None:
    annotations = [
        {"id": 11, "category_id": 1, "segmentation": {"size": [5, 5], "counts": [25]}},
        {"id": 12, "category_id": "cat", "segmentation": rle(box(1))},
        {"id": 13, "category_id": 1, "segmentation": [[0, 0, "x", 1, 2, 3]]},
        {"id": 14, "category_id": 1, "segmentation": rle(box(1))},
    ]
    path = coco(tmp_path / "x.json", {"a.jpg": annotations}, {1: "cat"})
    with pytest.raises(InputError, match=r"annotation 11: .*annotation 12: .*annotation 13: ") as caught:
        read_annotations(path)
    assert "annotation 14" not in str(caught.value)
    (tmp_path / "y.json").write_text(json.dumps({"images": {}, "annotations": []}))
    with pytest.raises(InputError, match="images: is no list"):
        read_annotations(tmp_path / "y.json")


def cvat(path: Path, frames: dict[str, str]) -> Path:
    images = "".join(
        f'<image id="{k}" name="{name}" width="{WIDTH}" height="{HEIGHT}">{body}</image>'
        for k, (name, body) in enumerate(frames.items())
    )
    meta = "<meta><task><labels><label><name>dog</name></label><label><name>cat</name></label></labels></task></meta>"
    path.write_text(
        f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{meta}{images}</annotations>'
    )
    return path


def cvat_shape(label: str, mask: np.ndarray, kind: str, **more: str) -> str:
    left, top, right, bottom = corners(mask)
    attributes = {"label": label, "occluded": "0", "z_order": "0", **more}
    if kind == "polygon":
        attributes["points"] = ";".join(f"{x:.2f},{y:.2f}" for x, y in polygon(mask))
    elif kind == "box":
        attributes |= {"xtl": str(left), "ytl": str(top), "xbr": str(right), "ybr": str(bottom)}
    else:
        attributes |= cvat_runs(mask)
    return f"<{kind} " + " ".join(f'{name}="{value}"' for name, value in attributes.items()) + "></" + kind + ">"


@pytest.mark.parametrize("kind", ["polygon", "box", "mask"])
def test_shapes_of_cvat(tmp_path: Path, kind: str) -> None:
    body = cvat_shape("cat", box(1), kind) + cvat_shape("dog", box(2), kind)
    path = cvat(tmp_path / "annotations.xml", {"images/default/00000.jpg": body})
    found = converted(path, tmp_path, "images/default/00000.png")
    assert np.array_equal(found, label_map(ids=(2, 1))), "in the order of CVAT's labels: dog, cat"
    assert names(tmp_path, "images/default") == {1: "dog", 2: "cat"}


def test_a_mask_of_cvat_that_begins_with_background(tmp_path: Path) -> None:
    """Runs go along the rows, not down the columns as in COCO."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10:20, 12:40] = np.random.default_rng(0).random((10, 28)) > 0.5
    mask[10, 12:15], mask[19, 39], mask[10:20, 12] = False, True, np.arange(10) > 4
    path = cvat(tmp_path / "a.xml", {"00000.png": cvat_shape("cat", mask, "mask")})
    assert np.array_equal(converted(path, tmp_path) > 0, mask)


def test_groups_and_layers_of_cvat(tmp_path: Path) -> None:
    over = box(2).copy()
    over[15:30, 10:40] = True
    body = cvat_shape("cat", over, "mask", group_id="8", z_order="1") + cvat_shape("cat", box(1), "mask", group_id="5")
    found = converted(cvat(tmp_path / "a.xml", {"00000.png": body}), tmp_path)
    assert np.array_equal(found, np.where(over, 8, np.where(box(1), 5, 0)))


def test_tracks_of_cvat(tmp_path: Path) -> None:
    def shape(mask: np.ndarray, frame: int, outside: int) -> str:
        points = ";".join(f"{x},{y}" for x, y in polygon(mask))
        return f'<polygon frame="{frame}" outside="{outside}" points="{points}" keyframe="1"/>'

    tracks = (
        f'<track id="0" label="cat">{shape(box(1), 0, 0)}{shape(box(1, 3), 1, 0)}</track>'
        f'<track id="1" label="cat">{shape(box(2), 0, 0)}{shape(box(2, 3), 1, 1)}</track>'
    )
    size = f"<original_size><width>{WIDTH}</width><height>{HEIGHT}</height></original_size>"
    (tmp_path / "v.xml").write_text(f"<annotations><meta><task>{size}</task></meta>{tracks}</annotations>")
    assert np.array_equal(converted(tmp_path / "v.xml", tmp_path, "frame_000000.png"), label_map())
    assert np.array_equal(converted(tmp_path / "v.xml", tmp_path, "frame_000001.png"), box(1, 3))


def test_numbers_of_cvat_that_are_none(tmp_path: Path) -> None:
    """Scripts write such files: layers do not matter much, frames do."""
    body = cvat_shape("cat", box(1), "mask", z_order="0.5")
    (tmp_path / "a.xml").write_text(
        f'<annotations><image id="first" width="{WIDTH}" height="{HEIGHT}">{body}</image></annotations>'
    )
    assert [image.name for image in read_annotations(tmp_path / "a.xml").images] == ["0first"]
    points = ";".join(f"{x},{y}" for x, y in polygon(box(1)))
    shape = f'<polygon frame="0" z_order="top" points="{points}"/><polygon frame="one" points="{points}"/>'
    size = f"<original_size><width>{WIDTH}</width><height>{HEIGHT}</height></original_size>"
    track = f'<track id="dog" label="dog">{shape}</track>'
    (tmp_path / "v.xml").write_text(f"<annotations><meta><task>{size}</task></meta>{track}</annotations>")
    with pytest.raises(InputError, match="track dog: the frame 'one' is no number"):
        read_annotations(tmp_path / "v.xml")


def test_faults_of_cvat(tmp_path: Path) -> None:
    bad = '<mask label="a" rle="3, 4" left="0" top="0" width="5" height="5"/>'
    body = (
        bad + cvat_shape("cat", box(1), "polygon") + '<points label="b" points="1,2"/><polygon label="c" points="1;2"/>'
    )
    with pytest.raises(InputError, match=r"shape 1: the runs.*shape 4: a point is no pair"):
        read_annotations(cvat(tmp_path / "a.xml", {"0.png": body}))
    (tmp_path / "voc.xml").write_text("<annotation><object/></annotation>")
    with pytest.raises(InputError, match="boxes alone"):
        read_annotations(tmp_path / "voc.xml")
    (tmp_path / "cut.xml").write_text("<annotations><image")
    with pytest.raises(InputError, match="no XML"):
        read_annotations(tmp_path / "cut.xml")


def test_the_segmentation_masks_of_cvat_as_they_unzip(tmp_path: Path) -> None:
    """Colours of objects are PASCAL's, those of classes are in labelmap.txt."""
    root = tmp_path / "export"
    for name, colors in (
        ("SegmentationObject", PALETTE[:3]),
        ("SegmentationClass", [[0, 0, 0], [9, 99, 200], [250, 3, 3]]),
    ):
        (root / name / "clip").mkdir(parents=True)
        Image.fromarray(np.array(colors, np.uint8)[label_map()]).save(root / name / "clip" / "00000.png")
    (root / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ndog:250,3,3::\ncat:9,99,200::\n"
    )
    assert np.array_equal(converted(root, tmp_path, "clip/00000.png"), label_map())
    assert names(tmp_path, "clip") == {1: "cat", 2: "dog"}
    for part in ("SegmentationObject", "SegmentationClass"):
        assert is_annotation(root / part)
    (root / "SegmentationObject").rename(tmp_path / "elsewhere")
    assert {shape.label for shape in read_annotations(root).images[0].shapes} == {"cat", "dog"}


def test_pascal_voc(tmp_path: Path) -> None:
    objects = label_map().astype(np.uint8)
    objects[0] = 255
    classes = np.array([0, 15, 15], np.uint8)[label_map()]
    classes[0] = 255
    for name, ids_map in (("SegmentationObject", objects), ("SegmentationClass", classes)):
        (tmp_path / "VOC2012" / name).mkdir(parents=True)
        for image in ("2007_1", "2007_2"):
            picture = Image.fromarray(ids_map)
            picture.putpalette(PALETTE.tobytes())
            picture.save(tmp_path / "VOC2012" / name / f"{image}.png")
    (tmp_path / "VOC2012" / "ImageSets" / "Segmentation").mkdir(parents=True)
    (tmp_path / "VOC2012" / "ImageSets" / "Segmentation" / "train.txt").write_text("2007_2\n")
    found = read_annotations(tmp_path)
    assert [image.name for image in found.images] == ["2007_1.jpg", "2007_2.jpg"]
    assert [(s.label, s.key, np.array_equal(s.mask(), box(s.key))) for s in found.images[0].shapes] == [  # type: ignore[arg-type]
        ("person", 1, True), ("person", 2, True)
    ]  # fmt: skip
    assert [image.name for image in read_annotations(tmp_path, "train").images] == ["2007_2.jpg"]


def yolo(root: Path, split: str, name: str, lines: list[str]) -> None:
    for kind in ("images", "labels"):
        (root / kind / split).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(root / "images" / split / f"{name}.jpg")
    (root / "labels" / split / f"{name}.txt").write_text("\n".join(lines) + "\n")


def yolo_line(number: int, mask: np.ndarray) -> str:
    return " ".join([str(number), *(f"{x / WIDTH:.6f} {y / HEIGHT:.6f}" for x, y in polygon(mask))])


@pytest.mark.parametrize("listed", ["[dog, cat]", "{0: dog, 1: cat}", "\n  - dog\n  - cat"])
def test_yolo_segmentation(tmp_path: Path, listed: str) -> None:
    root = tmp_path / "set"
    yolo(root, "train", "a", [yolo_line(1, box(1)), yolo_line(0, box(2)), "1 0.1 0.1 0.2 0.2", "0 0.1 0.1 0.2 0.3"])
    yolo(root, "val", "b", [yolo_line(0, box(2))])
    (root / "data.yaml").write_text(f"train: images/train\nval: images/val\nnc: 2\nnames: {listed}\n")
    assert is_annotation(root)
    found = read_annotations(root)
    assert [(i.name, [s.label for s in i.shapes]) for i in found.images] == [
        ("train/a.jpg", ["cat", "dog"]), ("val/b.jpg", ["dog"])
    ]  # fmt: skip
    assert np.array_equal(found.images[0].shapes[0].mask(), box(1))
    assert found.notes == ("left out: 2 lines of YOLO that are boxes",)
    assert [i.name for i in read_annotations(root, "train").images] == ["train/a.jpg"]
    assert [i.name for i in read_annotations(root / "data.yaml").images] == ["train/a.jpg", "val/b.jpg"]
    assert [i.name for i in read_annotations(root / "data.yaml", "val").images] == ["val/b.jpg"]
    assert [i.name for i in read_annotations(root / "labels" / "val").images] == ["b.jpg"]
    (root / "labels" / "val" / "b.txt").write_text(yolo_line(7, box(2)))
    assert read_annotations(root, "val").notes[1:] == (
        "1 line of YOLO has a class that is not listed: it is called by its number",
        "1 image of other parts than 'val' was left out",
    )


def test_yolo_images_without_a_label_file_are_counted(tmp_path: Path) -> None:
    yolo(tmp_path, "train", "a", [yolo_line(0, box(1))])
    yolo(tmp_path, "train", "empty", [])
    for name in ("b.jpg", "c.png"):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "images" / "train" / name)
    found = read_annotations(tmp_path)
    assert [image.name for image in found.images] == ["train/a.jpg", "train/empty.jpg"]
    (note,) = found.notes
    assert note.startswith("left out: 2 images of YOLO without a label file")


def test_yolo_boxes_and_faults(tmp_path: Path) -> None:
    yolo(tmp_path / "boxes", "train", "a", ["0 0.5 0.5 0.2 0.2"])
    with pytest.raises(InputError, match="boxes alone"):
        read_annotations(tmp_path / "boxes")
    yolo(tmp_path / "bad", "train", "a", ["0.5 0.1 0.1 0.2 0.2 0.3 0.3", "0 1 2 3 4 5 60", yolo_line(0, box(1))])
    (tmp_path / "bad" / "labels" / "train" / "c.txt").write_text(yolo_line(0, box(1)))
    with pytest.raises(InputError, match=r"a\.txt, line 1.*a\.txt, line 2.*c\.txt: has no image"):
        read_annotations(tmp_path / "bad")


def test_supervisely(tmp_path: Path) -> None:
    payload = {
        "size": {"height": HEIGHT, "width": WIDTH},
        "objects": [supervisely_object("cat", box(1)),
                    {"classTitle": "dog", "geometryType": "polygon",
                     "points": {"exterior": [list(p) for p in polygon(box(2), 1)], "interior": []}}],
    }  # fmt: skip
    (tmp_path / "p" / "clip" / "ann").mkdir(parents=True)
    (tmp_path / "p" / "meta.json").write_text("{}")
    (tmp_path / "p" / "clip" / "ann" / "00000.jpg.json").write_text(json.dumps(payload))
    assert np.array_equal(converted(tmp_path / "p", tmp_path, "clip/00000.png"), label_map())


def test_datumaro(tmp_path: Path) -> None:
    payload = {
        "categories": {"label": {"labels": [{"name": "cat"}, {"name": "dog"}]}},
        "items": [{"id": "clip/00000", "image": {"path": "clip/00000.jpg", "size": [HEIGHT, WIDTH]}, "annotations": [
            {"id": 0, "type": "mask", "label_id": 0, "rle": rle(box(1))},
            {"id": 1, "type": "polygon", "label_id": 1, "points": flat(polygon(box(2)))},
        ]}],
    }  # fmt: skip
    (tmp_path / "d.json").write_text(json.dumps(payload))
    assert np.array_equal(converted(tmp_path / "d.json", tmp_path, "clip/00000.png"), label_map())


def test_windows_paths(tmp_path: Path) -> None:
    path = coco(
        tmp_path / "x.json", {"C:\\data\\clip\\00000.jpg": [{"category_id": 1, "segmentation": rle(box(1))}]}, {1: "a"}
    )
    assert converted(path, tmp_path, "data/clip/00000.png").any()


def test_overlaps_are_told(tmp_path: Path) -> None:
    wide = np.zeros_like(box(1))
    wide[0:30, 0:40] = True
    path = labelme(tmp_path / "0.json", labelme_shape("a", wide), labelme_shape("b", box(2)))
    written = write_label_maps(read_annotations(path), tmp_path / "written")
    shared = int((wide & box(2)).sum())
    assert any(note.startswith(f"{shared} pixels belong to several objects") for note in written.notes)


def test_300_objects_are_written_in_16_bits(tmp_path: Path) -> None:
    cells = np.kron(np.arange(300).reshape(15, 20), np.ones((3, 3), int))
    shapes = [
        {"category_id": 1, "track_id": k + 1, "segmentation": rle(np.pad(cells == k, ((0, 3), (0, 4))))}
        for k in range(300)
    ]
    found = converted(coco(tmp_path / "x.json", {"0.jpg": shapes}, {1: "cell"}), tmp_path, "0.png")
    assert np.array_equal(found[:45, :60], cells + 1)


def test_what_is_of_no_tool_is_told_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("[]")
    with pytest.raises(InputError, match="list, as of results"):
        read_annotations(tmp_path / "results.json")
    (tmp_path / "other.json").write_text('{"a": 1, "b": 2}')
    with pytest.raises(InputError, match=re.escape("of no tool that is known (it holds: a, b)")):
        read_annotations(tmp_path / "other.json")
    (tmp_path / "masks").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "masks" / "0.png")
    assert not is_annotation(tmp_path / "masks")


def test_several_files_of_a_tool_are_one(tmp_path: Path) -> None:
    for name in ("bear", "dog"):
        coco(
            tmp_path / "set" / f"{name}.json",
            {f"{name}/0.jpg": [{"category_id": 2, "segmentation": rle(box(1))}]},
            {2: "a"},
        )
    found: Annotations = read_annotations(tmp_path / "set")
    assert [image.name for image in found.images] == ["bear/0.jpg", "dog/0.jpg"]
    assert found.class_ids == {"a": 2}


def test_names_of_lvis(tmp_path: Path) -> None:
    """LVIS has addresses instead of file names."""
    square = [[2, 2, 12, 2, 12, 12, 2, 12]]
    image = {"id": 3, "coco_url": "http://images.cocodataset.org/val2017/0003.jpg", "height": 20, "width": 20}
    payload = {
        "images": [image],
        "annotations": [{"id": 1, "image_id": 3, "category_id": 1, "segmentation": square}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "val2017").mkdir()
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / "val2017" / "0003.jpg")
    (tmp_path / "lvis_v1_val.json").write_text(json.dumps(payload))
    (found,) = read_annotated_images(tmp_path / "lvis_v1_val.json").images
    assert found.path == tmp_path / "val2017" / "0003.jpg"


def test_crowds_that_are_objects(tmp_path: Path) -> None:
    """CVAT calls masks of the brush crowds; its annotations have attributes."""
    crowd = {"category_id": 1, "segmentation": rle(box(1)), "iscrowd": 1}
    plain = {"category_id": 1, "segmentation": rle(box(2)), "iscrowd": 0}
    for name, listed, wanted in (
        ("all", [crowd], 1),
        ("cvat", [crowd | {"attributes": {"occluded": False}}, plain | {"attributes": {}}], 2),
        ("coco", [crowd, plain], 1),
    ):
        found = read_annotations(coco(tmp_path / f"{name}.json", {"0.jpg": listed}, {1: "cat"}))
        assert len(found.images[0].shapes) == wanted, name


def test_one_image_as_segment_anything_has_it(tmp_path: Path) -> None:
    image = {"image_id": 7, "file_name": "sa_7.jpg", "height": HEIGHT, "width": WIDTH}
    masks = [{"id": n, "segmentation": rle(box(n)), "predicted_iou": 0.9} for n in (1, 2)]
    path = tmp_path / "sa_7.json"
    path.write_text(json.dumps({"image": image, "annotations": masks}))
    (found,) = read_annotations(path).images
    assert found.name == "sa_7.jpg"
    assert [np.array_equal(shape.mask(), box(n) > 0) for n, shape in zip((1, 2), found.shapes, strict=True)] == [
        True
    ] * 2
