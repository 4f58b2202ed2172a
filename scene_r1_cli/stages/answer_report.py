"""The report of a ``qa`` run: each answer with its reason, and the frames the model saw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scene_r1_cli.config import VideoConfig
from scene_r1_cli.errors import InputError
from scene_r1_cli.run_dir import RunDir
from scene_r1_cli.serialize import answer_result_to_json
from scene_r1_cli.stages.report import write_jpeg
from scene_r1_cli.stages.video import SizeFn, sample_video
from scene_r1_cli.types import AnswerResult, Scene
from scene_r1_cli.viewer.html import Picture, write_page


def write_answer_report(
    scene: Scene, results: Sequence[AnswerResult], run: RunDir, config: VideoConfig, size_fn: SizeFn
) -> Path:
    """Write ``report/index.html``; returns its path.

    Args:
        scene: The capture.
        results: Answers, failed ones included.
        run: The run; the model's exchanges are read from it.
        config: How frames were taken.
        size_fn: ``VLM.model_size_wh``.
    """
    pictures = []
    try:
        prefix = sample_video(scene, config, size_fn).prefix
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
