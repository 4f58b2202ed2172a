"""Writes a small visit of SceneFun3D: a wall with two handles and a switch, and a board that hides one.

This is our own writer, made from SceneFun3D's description of its files; it is no original visit. The laser
scan's frame has +z up; the wall is the plane y = 2, the board stands at y = 1, and the camera slides along x
looking at the wall. Depth is computed from those planes, not from the points.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from tests import captures

VISIT, VIDEO = "421000", "42445000"
SIZE_WH = (320, 240)
FOCAL_PX = 300.0
COUNT, RATE_HZ = 41, 10
WALL_Y, BOARD_Y = 2.0, 1.0
BOARD_X, BOARD_Z = (0.05, 0.45), (0.6, 1.8)
SPACING_M = 0.005

# annot_id: (affordance, x from, to, z from, to), on the wall
ELEMENTS = {
    "aaaa-1": ("hook_pull", -0.60, -0.40, 1.10, 1.16),
    "bbbb-2": ("hook_pull", 0.20, 0.40, 1.10, 1.16),
    "cccc-3": ("tip_push", -0.10, -0.02, 1.30, 1.38),
}
GLASS = (0.80, 0.90, 1.0, 1.1)
TASKS = {
    "dddd-1": ("open the left drawer", ["aaaa-1"]),
    "eeee-2": ("open the right drawer", ["bbbb-2"]),
    "ffff-3": ("turn on the light and open a drawer", ["cccc-3", "aaaa-1"]),
}
ARKIT_FROM_LASER = np.eye(4)
ARKIT_FROM_LASER[:3, :3] = Rotation.from_euler("z", 40, degrees=True).as_matrix()
ARKIT_FROM_LASER[:3, 3] = (3.0, -1.0, 0.4)


@dataclass
class VisitFiles:
    """What was written, and its truth."""

    path: Path
    points: np.ndarray
    indices: dict[str, np.ndarray] = field(default_factory=dict)
    excluded: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


def camera_x(index):
    return -0.8 + 1.6 * index / (COUNT - 1)


def laser_from_camera(index):
    transform = np.eye(4)
    # +x right, +y down, +z forward, looking along the laser scan's +y
    transform[:3, :3] = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    transform[:3, 3] = (camera_x(index), 0.0, 1.2)
    return transform


def depth_m(index):
    """(H, W) distance along the optical axis of what each pixel sees."""
    width, height = SIZE_WH
    x = (np.arange(width) - (width - 1) / 2) / FOCAL_PX
    z = -(np.arange(height) - (height - 1) / 2) / FOCAL_PX
    at_board_x, at_board_z = camera_x(index) + BOARD_Y * x, 1.2 + BOARD_Y * z
    on_board = ((at_board_x >= BOARD_X[0]) & (at_board_x <= BOARD_X[1]))[None] & (
        (at_board_z >= BOARD_Z[0]) & (at_board_z <= BOARD_Z[1])
    )[:, None]
    return np.where(on_board, BOARD_Y, WALL_Y)


def element_box_px(annot_id, index):
    """The element's edges in a frame, as if nothing hid it and the image had no border."""
    _, x0, x1, z0, z1 = ELEMENTS[annot_id]
    width, height = SIZE_WH
    left, right = ((x - camera_x(index)) / WALL_Y * FOCAL_PX + (width - 1) / 2 for x in (x0, x1))
    top, bottom = (-(z - 1.2) / WALL_Y * FOCAL_PX + (height - 1) / 2 for z in (z1, z0))
    return left, top, right, bottom


def is_clear(annot_id, index):
    """All of the element is inside the picture and beside the board."""
    left, _, right, _ = element_box_px(annot_id, index)
    width = SIZE_WH[0]
    inside = left > 1 and right < width - 2
    board = [(x - camera_x(index)) / BOARD_Y * FOCAL_PX + (width - 1) / 2 for x in BOARD_X]
    return inside and (right < board[0] - 2 or left > board[1] + 2)


def is_gone(annot_id, index):
    """Nothing of the element is in the picture, or the board hides all of it."""
    left, _, right, _ = element_box_px(annot_id, index)
    width = SIZE_WH[0]
    board = [(x - camera_x(index)) / BOARD_Y * FOCAL_PX + (width - 1) / 2 for x in BOARD_X]
    return right < -2 or left > width + 1 or (left > board[0] + 2 and right < board[1] - 2)


def write_ply(path, points):
    """Binary PLY as Open3D writes a point cloud: doubles and colours."""
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\n"
        "property double x\nproperty double y\nproperty double z\n"
        "property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n"
    )
    rows = np.zeros(len(points), dtype=[("xyz", "<f8", 3), ("rgb", "u1", 3)])
    rows["xyz"], rows["rgb"] = points, 128
    path.write_bytes(header.encode() + rows.tobytes())


def write_visit(root, kind="hires", visit=VISIT, videos=(VIDEO,)) -> VisitFiles:
    """Write a visit; ``kind`` is ``hires`` or ``lowres``."""
    folder = root / visit
    folder.mkdir(parents=True)
    x, z = np.meshgrid(np.arange(-1.2, 1.2, SPACING_M), np.arange(0.8, 1.6, SPACING_M))
    points = np.stack([x.ravel(), np.full(x.size, WALL_Y), z.ravel()], axis=1)
    found = VisitFiles(folder, points)
    write_ply(folder / f"{visit}_laser_scan.ply", points)
    np.save(folder / f"{visit}_crop_mask.npy", np.ones(len(points), dtype=np.uint8))
    rows = []
    for annot_id, (label, x0, x1, z0, z1) in ELEMENTS.items():
        found.indices[annot_id] = _inside(points, x0, x1, z0, z1)
        rows.append({"annot_id": annot_id, "label": label, "indices": found.indices[annot_id].tolist()})
    found.excluded = _inside(points, *GLASS)
    rows.append({"annot_id": "gggg-9", "label": "exclude", "indices": found.excluded.tolist()})
    _write_json(folder / f"{visit}_annotations.json", visit, "annotations", rows)
    _write_json(
        folder / f"{visit}_descriptions.json",
        visit,
        "descriptions",
        [{"desc_id": name, "annot_id": ids, "description": text} for name, (text, ids) in TASKS.items()],
    )
    motion = {
        "motion_id": "m1",
        "annot_id": "aaaa-1",
        "motion_type": "trans",
        "motion_dir": [0.0, -1.0, 0.0],
        "motion_origin_idx": int(found.indices["aaaa-1"][0]),
        "motion_viz_orient": "outwards",
    }
    _write_json(folder / f"{visit}_motions.json", visit, "motions", [motion])
    for number, video in enumerate(videos):
        write_video(folder / video, kind, COUNT - 10 * number)
    return found


def write_video(folder, kind, count):
    video, suffix = folder.name, ".jpg" if kind == "hires" else ".png"
    names = (f"{kind}_wide", f"{kind}_wide_intrinsics", f"{kind}_depth")
    for name in names:
        (folder / name).mkdir(parents=True)
    lines = []
    for index in range(count):
        time_s = 300 + index / RATE_HZ
        stem = f"{video}_{time_s:.3f}"
        color = np.full((SIZE_WH[1], SIZE_WH[0], 3), 120, np.uint8)
        cv2.putText(color, str(index), (20, 40), cv2.FONT_HERSHEY_SIMPLEX, 1, (0, 0, 0))
        data = captures.jpeg(color) if kind == "hires" else cv2.imencode(".png", color)[1].tobytes()
        (folder / names[0] / f"{stem}{suffix}").write_bytes(data)
        cx, cy = (SIZE_WH[0] - 1) / 2, (SIZE_WH[1] - 1) / 2
        (folder / names[1] / f"{stem}.pincam").write_text(
            f"{SIZE_WH[0]} {SIZE_WH[1]} {FOCAL_PX} {FOCAL_PX} {cx} {cy}\n"
        )
        cv2.imwrite(str(folder / names[2] / f"{stem}.png"), (1000 * depth_m(index)).astype(np.uint16))
        world_from_camera = laser_from_camera(index)
        if kind == "lowres":
            world_from_camera = ARKIT_FROM_LASER @ world_from_camera
        stored = np.linalg.inv(world_from_camera)
        values = [*Rotation.from_matrix(stored[:3, :3]).as_rotvec(), *stored[:3, 3]]
        lines.append(f"{time_s:.3f} " + " ".join(f"{value:.9f}" for value in values))
    (folder / f"{kind}_poses.traj").write_text("\n".join(lines) + "\n")
    if kind == "lowres":
        np.save(folder / f"{video}_transform.npy", ARKIT_FROM_LASER)


def _inside(points, x0, x1, z0, z1):
    x, z = points[:, 0], points[:, 2]
    return np.flatnonzero((x >= x0) & (x <= x1) & (z >= z0) & (z <= z1))


def _write_json(path, visit, name, rows):
    path.write_text(json.dumps({"visit_id": visit, name: rows}))
