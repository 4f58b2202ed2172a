"""ScanNet's files about a scene, apart from the ``.sens``: meta text, mesh, segments, instance pictures."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np

from scene_r1_cli.data.rooms.layout import Room
from scene_r1_cli.data.rooms.mesh import RoomMesh
from scene_r1_cli.data.rooms.vocabulary import CLASSES
from scene_r1_cli.geometry.transforms import transform_points
from scene_r1_cli.types import Camera

EPOCH = (1980, 1, 1, 0, 0, 0)
"""Date of all members of zip files, so that the same room gives the same bytes."""


def write_meta(
    path: Path,
    color_camera: Camera,
    depth_camera: Camera,
    world_from_scan: np.ndarray,
    num_frames: int,
    scene_type: str,
) -> None:
    """Write ``<scene>.txt``."""
    fields: dict[str, str | int] = {
        "axisAlignment": " ".join(f"{value + 0.0:.6f}" for value in world_from_scan.ravel()) + " ",
        "colorHeight": color_camera.size_wh[1],
        "colorWidth": color_camera.size_wh[0],
        "depthHeight": depth_camera.size_wh[1],
        "depthWidth": depth_camera.size_wh[0],
    }
    for name, color_value, depth_value in (
        ("fx", color_camera.fx, depth_camera.fx),
        ("fy", color_camera.fy, depth_camera.fy),
        ("mx", color_camera.cx, depth_camera.cx),
        ("my", color_camera.cy, depth_camera.cy),
    ):
        fields[f"{name}_color"] = f"{color_value:.6f}"
        fields[f"{name}_depth"] = f"{depth_value:.6f}"
    fields |= {
        "numColorFrames": num_frames,
        "numDepthFrames": num_frames,
        "numIMUmeasurements": 0,
        "sceneType": scene_type.title(),
    }
    path.write_text("".join(f"{name} = {value}\n" for name, value in fields.items()))


def write_mesh(path: Path, mesh: RoomMesh, scan_from_world: np.ndarray) -> np.ndarray:
    """Write ``<scene>_vh_clean_2.ply`` in the scan frame; returns its (V, 3) float32 vertices."""
    vertices = transform_points(scan_from_world, mesh.vertices_m.astype(np.float64)).astype("<f4")
    rows = np.empty(len(vertices), dtype=[("xyz", "<f4", 3), ("rgba", "u1", 4)])
    rows["xyz"] = vertices
    rows["rgba"][:, :3] = mesh.colors_rgb
    rows["rgba"][:, 3] = 255
    faces = np.empty(len(mesh.triangles), dtype=[("count", "u1"), ("corners", "<i4", 3)])
    faces["count"] = 3
    faces["corners"] = mesh.triangles
    names = [f"property float {axis}" for axis in "xyz"]
    names += [f"property uchar {channel}" for channel in ("red", "green", "blue", "alpha")]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(rows)}", *names]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    path.write_bytes("\n".join(header).encode() + rows.tobytes() + faces.tobytes())
    return vertices


def write_segments(scene_dir: Path, scene_id: str, room: Room, mesh: RoomMesh) -> None:
    """Write the segment of every vertex, and the aggregation that says which object has which segments."""
    segments = {
        "params": {"kThresh": "0.0001", "segMinVerts": "20", "minPoints": "750", "maxPoints": "30000"},
        "sceneId": scene_id,
        "segIndices": mesh.segments.tolist(),
    }
    _write_json(scene_dir / f"{scene_id}_vh_clean_2.0.010000.segs.json", segments)
    pairs = np.unique(np.stack([mesh.objects, mesh.segments], axis=1), axis=0)
    groups = [
        {
            "id": item.object_id,
            "objectId": item.object_id,
            "segments": pairs[pairs[:, 0] == item.object_id, 1].tolist(),
            "label": item.label,
        }
        for item in room.objects
        if (mesh.objects == item.object_id).any()
    ]
    aggregation = {
        "sceneId": f"scannet.{scene_id}",
        "appId": "Aggregator.v2",
        "segGroups": groups,
        "segmentsFile": f"scannet.{scene_id}_vh_clean_2.0.010000.segs.json",
    }
    _write_json(scene_dir / f"{scene_id}.aggregation.json", aggregation)


def write_label_table(path: Path) -> None:
    """Write a ``scannetv2-labels.combined.tsv`` of the classes of rooms."""
    rows = ["id\traw_category\tcategory\tcount\tnyu40id\tnyu40class"]
    rows += [
        f"{number}\t{entry.label}\t{entry.label}\t0\t{entry.nyu40_id}\t{entry.nyu40_class}"
        for number, entry in enumerate(CLASSES.values(), start=1)
    ]
    path.write_text("\n".join(rows) + "\n")


class InstanceZip:
    """Writes ``<scene>_2d-instance-filt.zip`` frame by frame."""

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path, "w", zipfile.ZIP_STORED)

    def add(self, frame_index: int, instances: np.ndarray) -> None:
        """Add one (H, W) uint8 map: 0 = none, object_id + 1 otherwise."""
        ok, png = cv2.imencode(".png", instances, [cv2.IMWRITE_PNG_COMPRESSION, 2])
        assert ok
        member = zipfile.ZipInfo(f"instance-filt/{frame_index}.png", EPOCH)
        self._archive.writestr(member, png.tobytes())

    def __enter__(self) -> InstanceZip:
        return self

    def __exit__(self, *exception: object) -> None:
        self._archive.close()


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, separators=(",", ":")))
