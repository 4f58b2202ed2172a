"""Many captures to a store."""

import numpy as np
import pytest

from scene_r1_cli.data.annotations import Annotation, AnnotationSet
from scene_r1_cli.data.preprocess import absent_scenes, choose_captures, find_captures, preprocess
from scene_r1_cli.data.splits import scannet_split
from scene_r1_cli.errors import InputError, UsageError
from scene_r1_cli.preprocess_config import FramesConfig, PreprocessConfig
from tests import captures

CONFIG = PreprocessConfig(frames=FramesConfig(fps=None))


@pytest.fixture
def root(tmp_path):
    for number in range(3):
        folder = tmp_path / "scannet" / "scans" / f"scene000{number}_00"
        folder.mkdir(parents=True)
        captures.write_test_sens(folder / f"{folder.name}.sens", 4)
        captures.write_meta(folder / f"{folder.name}.txt", newline="\r\n")
    return tmp_path / "scannet"


def test_scans_of_a_root_are_found_and_a_split_chooses(root):
    found = find_captures(root, "scannet")
    assert [item.scene_id for item in found] == ["scene0000_00", "scene0001_00", "scene0002_00"]
    train, _ = choose_captures(found, "train", ())
    assert {item.scene_id for item in train} == {item.scene_id for item in found} & scannet_split("train")
    named, missing = choose_captures(found, None, ["scene0001_00", "scene0707_00"])
    assert [item.scene_id for item in named] == ["scene0001_00"]
    assert missing == ["scene0707_00"]
    assert [item.scene_id for item in find_captures(root / "scans" / "scene0001_00", "scannet")] == [
        "scene0001_00"
    ]


def test_official_splits_have_their_sizes_and_do_not_overlap():
    sets = {split: scannet_split(split) for split in ("train", "val", "test")}
    assert {split: len(names) for split, names in sets.items()} == {"train": 1201, "val": 312, "test": 100}
    assert len(frozenset().union(*sets.values())) == 1613
    with pytest.raises(UsageError):
        scannet_split("dev")


def test_captures_of_other_formats_are_found_below_a_root(tmp_path):
    for name in ("kitchen", "deep/er/hall", ".hidden"):
        captures.write_exported(tmp_path / name)
    assert [item.scene_id for item in find_captures(tmp_path, "exported")] == ["hall", "kitchen"]
    with pytest.raises(InputError, match="holds no capture"):
        find_captures(tmp_path, "tsdf")
    captures.write_exported(tmp_path / "other" / "kitchen")
    with pytest.raises(InputError, match="several captures named kitchen"):
        find_captures(tmp_path, "exported")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_broken_scene_stops_nothing(root, tmp_path, workers):
    (root / "scans" / "scene0001_00" / "scene0001_00.sens").write_bytes(b"\x04\x00\x00\x00")
    summary = preprocess(find_captures(root, "scannet"), tmp_path / "store", CONFIG, workers=workers)
    assert sorted(summary.reports) == ["scene0000_00", "scene0002_00"]
    assert "scene0001_00.sens ends inside its header" in summary.failures["scene0001_00"]
    lines = (tmp_path / "store" / "scenes.jsonl").read_text().splitlines()
    assert len(lines) == 2
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == [
        "scene0000_00",
        "scene0002_00",
        "scenes.jsonl",
    ]


def test_a_scene_whose_annotation_is_missing_fails_with_its_name(root, tmp_path):
    row = Annotation("scene0002_00", "1_1", "the chair", (1,))
    sets = [AnnotationSet("scanrefer", tmp_path / "a.json", (row,), ())]
    summary = preprocess(find_captures(root, "scannet"), tmp_path / "store", CONFIG, sets)
    assert sorted(summary.reports) == ["scene0000_00", "scene0001_00"]
    assert "_vh_clean_2.ply is missing" in summary.failures["scene0002_00"]


def test_annotated_scenes_that_are_not_there_are_named(root, tmp_path):
    rows = [Annotation(name, "1_1", "the chair", (1,)) for name in ("scene0707_00", "scene0001_00")]
    sets = [AnnotationSet("scanrefer", tmp_path / "a.json", tuple(rows), ())]
    assert absent_scenes(find_captures(root, "scannet"), sets) == {"a.json": ["scene0707_00"]}


def test_labels_and_the_list_of_scenes_are_read_by_datasets(root, tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = (Annotation("scene0000_00", "q", "is it red?", (), ("yes",)),)
    sets = [AnnotationSet("scanqa", tmp_path / "a.json", rows, ())]
    store = tmp_path / "store"
    # One scene with a damaged frame: the counts of skipped frames have different keys.
    transforms = {2: np.full((4, 4), -np.inf)}
    captures.write_test_sens(root / "scans" / "scene0001_00" / "scene0001_00.sens", 4, transforms)
    summary = preprocess(find_captures(root, "scannet"), store, CONFIG, sets)
    assert summary.failures == {}
    options = {"split": "train", "cache_dir": str(tmp_path / "cache")}
    labels = datasets.load_dataset("parquet", data_files=str(store / "*" / "labels" / "*.parquet"), **options)
    assert labels["text"] == ["is it red?"]
    assert labels["answers"] == [["yes"]]
    scenes = datasets.load_dataset("json", data_files=str(store / "scenes.jsonl"), **options)
    assert scenes["scene_id"] == ["scene0000_00", "scene0001_00", "scene0002_00"]
    frames = datasets.load_dataset("parquet", data_files=str(store / "*" / "frames.parquet"), **options)
    assert len(frames) == 11


def test_a_dry_run_writes_nothing(root, tmp_path):
    summary = preprocess(find_captures(root, "scannet"), tmp_path / "store", CONFIG, dry_run=True)
    assert sum(report.num_frames for report in summary.reports.values()) == 12
    assert not (tmp_path / "store").exists()
