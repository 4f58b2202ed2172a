"""How furniture is put in a room: against walls, around tables, on top of things, on the walls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scene_r1_cli.data.rooms.floor_plan import FloorPlan
from scene_r1_cli.data.rooms.furniture import ANY_COLOR, Furniture, make_furniture
from scene_r1_cli.data.rooms.solids import rotation
from scene_r1_cli.geometry.transforms import rotation_about_z

TRIES = 24


@dataclass(frozen=True)
class Placed:
    """A piece and where it is; ``standing_on`` is an index into ``Placer.placed``."""

    piece: Furniture
    world_from_object: np.ndarray
    standing_on: int | None = None


def pose_at(xy_m: np.ndarray, yaw_rad: float, z_m: float = 0.0) -> np.ndarray:
    """(4, 4) world_from_object of an upright piece."""
    world_from_object = rotation_about_z(yaw_rad)
    world_from_object[:3, 3] = [xy_m[0], xy_m[1], z_m]
    return world_from_object


def outline(world_from_object: np.ndarray, size_m: np.ndarray, margin_m: float = 0.0) -> np.ndarray:
    """(4, 2) outline of a piece on the floor."""
    half = np.asarray(size_m[:2]) / 2 + margin_m
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    return corners @ world_from_object[:2, :2].T + world_from_object[:2, 3]


class Placer:
    """Puts pieces into a floor plan, one after the other; what does not fit is left out.

    Attributes:
        placed: Everything placed so far.
    """

    def __init__(self, plan: FloorPlan, rng: np.random.Generator, max_objects: int) -> None:
        self.plan = plan
        self.rng = rng
        self.max_objects = max_objects
        self.placed: list[Placed] = []
        self._ways: dict[str, Callable[[str], int | None]] = {
            "wall": self.against_wall,
            "edge": self.along_edge,
            "hang": self.hang,
            "rug": self.lay_rug,
            "bed": self.bed_with_company,
            "desk": self.desk_with_company,
            "lounge": self.lounge,
            "tv": self.cabinet_with_tv,
            "dining": self.dining,
        }

    def place(self, how: str, kind: str) -> None:
        """Place one piece, and what belongs to it, in one of the ways of ``layout.THEMES``."""
        self._ways[how](kind)

    def open_walls(self) -> None:
        """One or two doors, and one to three windows with curtains."""
        doors = sum(self._open_wall("door", 0.0) for _ in range(int(self.rng.integers(1, 3))))
        windows = sum(self._open_wall("window", 0.92) for _ in range(int(self.rng.integers(1, 4))))
        assert doors + windows >= 0

    def _add(self, piece: Furniture, pose: np.ndarray, standing_on: int | None = None) -> int | None:
        if len(self.placed) >= self.max_objects:
            return None
        self.placed.append(Placed(piece, pose, standing_on))
        return len(self.placed) - 1

    def _random_wall(self) -> int:
        lengths = np.array([wall.length_m for wall in self.plan.walls])
        return int(self.rng.choice(len(lengths), p=lengths / lengths.sum()))

    def _stand(self, piece: Furniture, pose: np.ndarray, margin_m: float = 0.0) -> int | None:
        """Put a piece on the floor if it fits and leaves room to walk."""
        ground = outline(pose, piece.size_m, margin_m)
        if len(self.placed) >= self.max_objects or not self.plan.is_free(ground):
            return None
        if not self.plan.stays_walkable(ground):
            return None
        self.plan.block(ground)
        return self._add(piece, pose)

    def _open_wall(self, kind: str, bottom_z: float) -> bool:
        piece = make_furniture(kind, self.rng)
        width, thick, height = piece.size_m
        for _ in range(TRIES):
            number = self._random_wall()
            wall = self.plan.walls[number]
            if wall.length_m < width + 0.5:
                continue
            along = float(self.rng.uniform(width / 2 + 0.2, wall.length_m - width / 2 - 0.2))
            reach = (along - width / 2 - 0.1, along + width / 2 + 0.1)
            if not self.plan.wall_is_free(number, reach, (bottom_z, bottom_z + height)):
                continue
            pose = pose_at(wall.point(along, thick / 2 - 0.02), wall.facing_yaw_rad, bottom_z)
            if self._add(piece, pose) is None:
                return False
            self.plan.block_wall(number, reach, (bottom_z, bottom_z + height))
            if kind == "door":
                swing = pose_at(wall.point(along, 0.4), wall.facing_yaw_rad)
                self.plan.keep_clear(outline(swing, np.array([width, 0.8])))
            elif self.rng.random() < 0.6:
                self._hang_curtains(number, along, width)
            return True
        return False

    def _hang_curtains(self, number: int, along_m: float, window_width_m: float) -> None:
        wall = self.plan.walls[number]
        color = str(self.rng.choice(ANY_COLOR))
        for side in (-1, 1) if self.rng.random() < 0.7 else (int(self.rng.choice([-1, 1])),):
            piece = make_furniture("curtain", self.rng, color)
            width, thick, height = piece.size_m
            at = along_m + side * (window_width_m / 2 + 0.05)
            reach = (at - width / 2, at + width / 2)
            bottom = max(0.06, 2.28 - height)
            if reach[0] < 0.05 or reach[1] > wall.length_m - 0.05:
                continue
            ground = outline(pose_at(wall.point(at, 0.1), wall.facing_yaw_rad), np.array([width, 0.2]))
            if not self.plan.is_free(ground):
                continue
            self._add(piece, pose_at(wall.point(at, thick / 2 + 0.11), wall.facing_yaw_rad, bottom))
            self.plan.block_wall(number, reach, (0.0, bottom + height))
            self.plan.block(ground)

    def against_wall(self, kind: str, color: str | None = None) -> int | None:
        """Stand a piece with its back to a wall."""
        piece = make_furniture(kind, self.rng, color)
        width, depth, height = piece.size_m
        for _ in range(TRIES):
            number = self._random_wall()
            wall = self.plan.walls[number]
            if wall.length_m < width + 0.1:
                continue
            along = float(self.rng.uniform(width / 2 + 0.03, wall.length_m - width / 2 - 0.03))
            reach = (along - width / 2, along + width / 2)
            if not self.plan.wall_is_free(number, reach, (0.0, height)):
                continue
            yaw = wall.facing_yaw_rad + self.rng.normal(0, 0.01)
            pose = pose_at(wall.point(along, depth / 2 + self.rng.uniform(0.02, 0.07)), yaw)
            index = self._stand(piece, pose)
            if index is not None:
                self.plan.block_wall(number, reach, (0.0, height))
                self._furnish_top(index)
                return index
        return None

    def along_edge(self, kind: str) -> int | None:
        """Stand a small piece near a wall or another piece, turned at random."""
        piece = make_furniture(kind, self.rng)
        reach = float(piece.size_m[:2].max()) / 2
        for _ in range(TRIES):
            wall = self.plan.walls[self._random_wall()]
            along = self.rng.uniform(reach, max(reach + 0.01, wall.length_m - reach))
            out = reach + self.rng.uniform(0.04, 0.5 if self.rng.random() < 0.3 else 0.12)
            yaw = wall.facing_yaw_rad + self.rng.normal(0, 0.35)
            index = self._stand(piece, pose_at(wall.point(float(along), float(out)), float(yaw)))
            if index is not None:
                self._furnish_top(index)
                return index
        return None

    def hang(self, kind: str) -> int | None:
        """Hang a flat piece on a wall at eye height."""
        piece = make_furniture(kind, self.rng)
        width, thick, height = piece.size_m
        for _ in range(TRIES):
            number = self._random_wall()
            wall = self.plan.walls[number]
            if wall.length_m < width + 0.3:
                continue
            along = float(self.rng.uniform(width / 2 + 0.1, wall.length_m - width / 2 - 0.1))
            bottom = float(self.rng.uniform(1.1, 1.45 if height < 0.8 else 1.2))
            reach, rise = (
                (along - width / 2 - 0.08, along + width / 2 + 0.08),
                (bottom - 0.1, bottom + height),
            )
            if self.plan.wall_is_free(number, reach, rise):
                self.plan.block_wall(number, reach, rise)
                return self._add(piece, pose_at(wall.point(along, thick / 2), wall.facing_yaw_rad, bottom))
        return None

    def lay_rug(self, kind: str) -> int | None:
        """Lay a rug somewhere in the open; people walk on it, furniture may stand on it."""
        piece = make_furniture(kind, self.rng)
        rows, columns = np.nonzero(self.plan.walkable())
        for _ in range(TRIES):
            at = int(self.rng.integers(len(rows)))
            xy = np.array([columns[at] + 0.5, rows[at] + 0.5]) * 0.05
            pose = pose_at(xy, float(self.rng.choice([0, np.pi / 2])) + self.rng.normal(0, 0.08))
            if self.plan.is_free(outline(pose, piece.size_m)):
                return self._add(piece, pose)
        return None

    def bed_with_company(self, kind: str) -> int | None:
        """A bed, its pillows, and often nightstands."""
        index = self.against_wall(kind)
        if index is None:
            return None
        bed = self.placed[index]
        width, length, _ = bed.piece.size_m
        spots = (-0.24, 0.24) if "double" in bed.piece.traits else (0.0,)
        color = str(self.rng.choice(ANY_COLOR))
        top = float(bed.piece.faces.corners_m[:, :, 2][bed.piece.faces.corners_m[:, :, 1] > 0].max()) - 0.05
        for spot in spots:
            pillow = make_furniture("pillow", self.rng, color if self.rng.random() < 0.6 else None)
            y = -length / 2 + 0.12 + pillow.size_m[1] / 2
            self._put(index, pillow, np.array([spot * width, y]), top, self.rng.normal(0, 0.12))
        for side in (-1, 1):
            if self.rng.random() < 0.6:
                stand = make_furniture("nightstand", self.rng)
                x = side * (width / 2 + stand.size_m[0] / 2 + 0.06)
                local = pose_at(np.array([x, -length / 2 + 0.05 + stand.size_m[1] / 2]), 0.0)
                standing = self._stand(stand, bed.world_from_object @ local)
                if standing is not None and self.rng.random() < 0.7:
                    self._furnish_top(standing)
        return index

    def desk_with_company(self, kind: str) -> int | None:
        """A desk with a chair before it; screens and lamps stand on it."""
        index = self.against_wall(kind)
        if index is None:
            return None
        desk = self.placed[index]
        chair = make_furniture("office chair" if self.rng.random() < 0.7 else "chair", self.rng)
        x = -0.2 * self.rng.random()
        y = desk.piece.size_m[1] / 2 + chair.size_m[1] / 2 + self.rng.uniform(0.03, 0.25)
        local = pose_at(np.array([x, y]), np.pi + self.rng.normal(0, 0.35))
        self._stand(chair, desk.world_from_object @ local)
        return index

    def lounge(self, kind: str) -> int | None:
        """A sofa with pillows, and a coffee table before it."""
        index = self.against_wall(kind)
        if index is None:
            return None
        sofa = self.placed[index]
        width, depth, _ = sofa.piece.size_m
        for spot in (-0.30, 0.30):
            if self.rng.random() < 0.55:
                pillow = make_furniture("pillow", self.rng)
                # It leans on the back rest, standing on its long edge.
                lean = np.eye(4)
                lean[:3, :3] = rotation(tilt_x_rad=-1.15, yaw_rad=self.rng.normal(0, 0.15))
                lean[:3, 3] = [spot * width, -depth / 2 + 0.42, 0.45 + pillow.size_m[1] * 0.40]
                self._add(pillow, sofa.world_from_object @ lean, index)
        if self.rng.random() < 0.75:
            table = make_furniture("coffee table", self.rng)
            gap = self.rng.uniform(0.35, 0.5)
            local = pose_at(np.array([0, depth / 2 + gap + table.size_m[1] / 2]), self.rng.normal(0, 0.05))
            standing = self._stand(table, sofa.world_from_object @ local)
            if standing is not None:
                self._furnish_top(standing)
        return index

    def cabinet_with_tv(self, kind: str) -> int | None:
        """A low cabinet that carries a television."""
        index = self.against_wall(kind)
        if index is not None and "low" in self.placed[index].piece.traits and not self._carried(index):
            support = self.placed[index].piece
            screen = make_furniture("tv", self.rng)
            if screen.size_m[0] < support.size_m[0] + 0.15:
                self._put(index, screen, np.zeros(2), float(support.size_m[2]), self.rng.normal(0, 0.05))
        return index

    def dining(self, kind: str) -> int | None:
        """A table in the open with chairs around it, some of another colour."""
        table = make_furniture(kind, self.rng)
        rows, columns = np.nonzero(self.plan.walkable(clearance_m=0.9))
        if not len(rows):
            return None
        for _ in range(TRIES):
            at = int(self.rng.integers(len(rows)))
            xy = np.array([columns[at] + 0.5, rows[at] + 0.5]) * 0.05
            pose = pose_at(xy, float(self.rng.choice([0, np.pi / 2])) + self.rng.normal(0, 0.06))
            index = self._stand(table, pose)
            if index is not None:
                self._seat_around(index)
                self._furnish_top(index)
                return index
        return None

    def _seat_around(self, index: int) -> None:
        table = self.placed[index]
        half_x, half_y = table.piece.size_m[:2] / 2
        colors = [str(self.rng.choice(ANY_COLOR)) for _ in range(2)]
        if "round" in table.piece.traits:
            angles = np.arange(4) * np.pi / 2 + self.rng.uniform(0, np.pi / 2)
            slots = [(half_x * np.cos(a), half_x * np.sin(a), a) for a in angles]
        else:
            slots = [(side * half_x * 0.5, half_y, np.pi / 2) for side in (-1, 1)]
            slots += [(side * half_x * 0.5, -half_y, -np.pi / 2) for side in (-1, 1)]
            slots += [(half_x, 0.0, 0.0), (-half_x, 0.0, np.pi)]
        for x, y, outward in slots:
            if self.rng.random() < 0.25:
                continue
            chair = make_furniture("chair", self.rng, colors[int(self.rng.random() < 0.3)])
            away = chair.size_m[1] / 2 + self.rng.uniform(0.03, 0.22)
            at = np.array([x + away * np.cos(outward), y + away * np.sin(outward)])
            # A chair's front is +y and must look back at the table.
            local = pose_at(at, outward + np.pi / 2 + self.rng.normal(0, 0.12))
            self._stand(chair, table.world_from_object @ local)

    def _carried(self, index: int) -> list[int]:
        return [number for number, other in enumerate(self.placed) if other.standing_on == index]

    def _put(self, index: int, piece: Furniture, xy_m: np.ndarray, z_m: float, yaw_rad: float) -> int | None:
        """Put a piece on another one, at a point of its frame."""
        pose = self.placed[index].world_from_object @ pose_at(xy_m, yaw_rad, z_m)
        return self._add(piece, pose, index)

    def _furnish_top(self, index: int) -> None:
        """Put what people put on a piece of this kind; things keep apart from each other."""
        support = self.placed[index].piece
        width, depth, height = support.size_m
        low = "tall" not in support.traits
        menus: dict[str, list[tuple[str, float]]] = {
            "desk": [("monitor", 0.85), ("table lamp", 0.4), ("box", 0.15)],
            "nightstand": [("table lamp", 0.75)],
            "cabinet": [("plant", 0.3), ("box", 0.3), ("table lamp", 0.2)] if low else [("box", 0.3)],
            "bookshelf": [("plant", 0.3), ("box", 0.25)] if low else [],
            "table": [("plant", 0.3), ("box", 0.2)],
            "coffee table": [("plant", 0.25), ("box", 0.2)],
            "box": [("box", 0.2)],
        }
        spots = [-0.28, 0.28, 0.0]
        self.rng.shuffle(spots)
        for kind, chance in menus.get(support.label, []):
            piece = make_furniture(kind, self.rng)
            if self.rng.random() > chance or not spots:
                continue
            base = piece.size_m if kind != "plant" else np.array([0.3, 0.3, piece.size_m[2]])
            fits = base[0] < width * (0.95 if support.label == "box" else 0.62) and base[1] < depth + 0.02
            if not fits or height + piece.size_m[2] > self.plan.height_m - 0.3 or piece.size_m[2] > 1.0:
                continue
            if support.label in ("nightstand", "box"):
                spots = [0.0]
            x = spots.pop() * width
            y = (
                -depth / 2 + base[1] / 2 + 0.06
                if kind == "monitor"
                else self.rng.uniform(-0.5, 0.5) * (depth - base[1])
            )
            x = float(np.clip(x, -width / 2 + base[0] / 2, width / 2 - base[0] / 2))
            self._put(index, piece, np.array([x, y]), float(height), self.rng.normal(0, 0.12))
