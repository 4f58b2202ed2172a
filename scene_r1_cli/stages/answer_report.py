"""The report of a ``qa`` run: each answer with its reason, and the frames the model saw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scene_r1_cli.config import VideoConfig
from scene_r1_cli.errors import InputError
from scene_r1_cli.run_dir import RunDir
from scene_r1_cli.serialize import answer_result_to_json
from scene_r1_cli.stages.report import write_jpeg
from scene_r1_cli.stages.video import sample_video
from scene_r1_cli.types import AnswerResult, Scene
from scene_r1_cli.viewer.html import Picture, write_page


def write_answer_report(
    scene: Scene, results: Sequence[AnswerResult], run: RunDir, config: VideoConfig
) -> Path:
    """Write ``report/index.html``; returns its path.

    Args:
        scene: The capture.
        results: Answers, failed ones included.
        run: The run; the model's exchanges are read from it.
        config: How frames were taken.
    """
    pictures = []
    try:
        prefix = sample_video(
            scene, config, lambda size_wh, max_side_px: _inside(size_wh, max_side_px)
        ).prefix
        for time_s, frame_rgb in zip(prefix.timestamps_s, prefix.frames_rgb, strict=True):
            name = f"frames/{time_s:08.2f}.jpg"
            write_jpeg(run.report_dir / name, frame_rgb)
            pictures.append(Picture(name, f"{time_s:.1f} s"))
    except InputError:
        pictures = []  # the answers have failed with the same reason, which they show
    rows = [
        {
            "result": answer_result_to_json(result),
            "exchanges": run.query(result.query.scene_id, result.query.query_id).read_exchanges(),
        }
        for result in results
    ]
    values = {
        "rows": rows,
        "pictures": pictures,
        "scene_id": scene.scene_id,
        "source": scene.source,
        "duration_s": scene.duration_s,
    }
    return write_page(run.report_dir, "answers.html", values)


def _inside(size_wh: tuple[int, int], max_side_px: int) -> tuple[int, int]:
    scale = min(1.0, max_side_px / max(size_wh))
    return round(size_wh[0] * scale), round(size_wh[1] * scale)
