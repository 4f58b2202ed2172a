"""What ``metrics.json`` holds: figures, and everything needed to know what they are figures of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scene_r1_cli.config import GroundConfig
from scene_r1_cli.evaluation import ngrams, scenefun3d
from scene_r1_cli.evaluation.items import ItemSet
from scene_r1_cli.evaluation.predictions import Matched, match, unaligned_guess
from scene_r1_cli.evaluation.run import seconds_per_stage
from scene_r1_cli.evaluation.score import Scored, estimates, metrics, score
from scene_r1_cli.evaluation.statistics import mean_by_scene
from scene_r1_cli.models.prompts import prompt_hash

MAX_FAULTS = 10
LADDER = {
    "none": "the model alone",
    "span": "+ the true span",
    "box": "+ the true 2D boxes",
    "mask": "+ the true masks",
}
"""Steps of the ladder in order, by the last stage that truth replaces."""

_REFINED = (
    "EM-R is LEO's refined match with its scorer's faults: an empty answer would be right (a failed query is "
    "wrong here), and an answer inside another counts."
)
RULES = {
    "scanqa": f"EM@1 is ScanQA's own: letter for letter. {_REFINED} LEO's own EM, which stops at the first "
    "such answer and so misses an exact one behind it, is not given.",
    "sqa3d": f"EM is equality after cleaning both. {_REFINED}",
    "vsibench": "The official score reads the first word of the <answer>: “about 3” and “The answer is B” "
    "are wrong. Beside it, the answer read through, with units converted. Overall is the mean of tasks.",
    "nr3d": "A predicted box stands for a true one: the nearest (gtbbox_dist, as in VLM-Grounder's paper), "
    "or the most overlapping (gtbbox_iou).",
    "scanrefer": "IoU of axis-aligned boxes in world, never rounded; a threshold is met by equality.",
}
RULES["sr3d"] = RULES["nr3d"]


def about_run(config: GroundConfig, oracle: str | None, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What predictions were made with."""
    video = config.video
    return {
        "model": " at ".join(filter(None, (config.model.name, config.model.endpoint))),
        "tracker": config.tracker.name,
        "oracle": oracle or "none",
        "prompts": {
            "span": prompt_hash("span", config.span.think),
            "box": prompt_hash("box", config.box.think),
            "answer": prompt_hash("answer", config.answer.think),
        },
        "frames shown": f"at most {video.max_frames} at {video.fps:g} a second, {video.max_side_px} px wide",
        "seconds per query and stage": {k: round(v, 3) for k, v in seconds_per_stage(rows).items()},
    }


def joined_about(abouts: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """What several runs, such as shards, were made with; where they differ, all of it."""
    known = [about for about in abouts if about]
    if not known:
        return {"model": "not known: the predictions came as a file"}
    names = dict.fromkeys(name for about in known for name in about)
    joined: dict[str, Any] = {}
    for name in names:
        values = [about[name] for about in known if name in about]
        joined[name] = values[0] if all(value == values[0] for value in values) else values
    return joined


def summarize(
    items: ItemSet,
    rows: Sequence[Mapping[str, Any]],
    about: Mapping[str, Any],
    frame_source: str,
    ladder: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    masks: Path | None = None,
) -> tuple[dict[str, Any], Matched, list[Scored]]:
    """Score predictions and say what they are.

    Args:
        items: The queries.
        rows: Predictions.
        about: See ``about_run``.
        frame_source: See ``with_views``.
        ladder: Predictions with truth in place of the first stages, by the last of them.
        masks: Folder of a submission, of SceneFun3D, whose figures are of masks.

    Returns:
        Content of ``metrics.json``, the joined predictions, and each query's scores.
    """
    matched = match(rows, items.items)
    scored, faults = score(items, matched), list(matched.faults)
    if masks is None:
        report = metrics(items, scored)
    else:
        found, damaged = scenefun3d.overlaps_by_query(items, masks)
        faults += damaged
        scored = scenefun3d.with_mask_iou(scored, found)
        report = metrics(items, scored)
        scenefun3d.add_average_precision(report, items, found)
    notes = [*report["notes"], *_not_scored(scored), unaligned_guess(matched, items.items)]
    notes += faults[:MAX_FAULTS]
    if len(faults) > MAX_FAULTS:
        notes.append(f"and {len(faults) - MAX_FAULTS} more such predictions (metrics.json lists all)")
    report["about"] = {"frames": frame_source, **about}
    rules = _rules(items)
    if rules:
        report["about"]["rules"] = rules
    if items.benchmark == "scanqa" and report["metrics"]:
        found, told = _ngrams(items, matched)
        report["metrics"] |= found
        report["about"]["n-gram metrics"] = told
    if ladder:
        report["ladder"], told = _ladder(items, rows, ladder)
        notes += told
    report["faults"] = faults
    report["notes"] = [note for note in notes if note]
    return report, matched, scored


def _rules(items: ItemSet) -> str:
    """How the benchmark scores; rooms are asked as three benchmarks ask."""
    names = [items.benchmark]
    if items.benchmark == "rooms":
        tasks = {item.task for item in items.items}
        names = [
            *(["scanrefer"] if "ground" in tasks else []),
            *(["scanqa", "vsibench"] if "qa" in tasks else []),
        ]
    return " ".join(RULES[name] for name in names if name in RULES)


def _not_scored(scored: Sequence[Scored]) -> list[str]:
    """Queries whose truth is not known count nowhere; that must be seen."""
    notes = []
    for task, lacks in (("ground", "true box"), ("qa", "true answer")):
        bare = sum(not _is_scored(row) for row in scored if row.item.task == task)
        if bare:
            notes.append(f"{bare} queries have no {lacks} here: they are predicted, not scored")
    return notes


def _is_scored(row: Scored) -> bool:
    boxes = ("mean_iou", "f1_at_0.25", "acc_by_distance", "mask_iou")
    return bool(row.scores) if row.item.task == "qa" else any(name in row.scores for name in boxes)


def _ngrams(items: ItemSet, matched: Matched) -> tuple[dict[str, Any], str]:
    asked = [item for item in items.items if item.label.answers]
    found = [(matched.rows.get(item.key) or {}).get("answers") or [""] for item in asked]
    try:
        scores = ngrams.ngram_scores([str(one[0]) for one in found], [item.label.answers for item in asked])
    except ngrams.NotComputed as reason:
        entry = {"value": None, "n": len(asked), "ci95": None, "reason": str(reason)}
        return dict.fromkeys(ngrams.NAMES, entry), f"not computed: {reason}"
    scenes = [item.label.scene_id for item in asked]
    entries: dict[str, Any] = {}
    for name, value in scores.corpus.items():
        entries[name] = {"value": value, "n": len(asked), "ci95": None}
        if name in scores.by_answer:
            entries[name] = mean_by_scene(scores.by_answer[name], scenes).as_json()
    return entries, f"pycocoevalcap; {ngrams.TOKENIZER}; no interval where the figure is no mean of answers"


def _ladder(
    items: ItemSet, rows: Sequence[Mapping[str, Any]], ladder: Mapping[str, Sequence[Mapping[str, Any]]]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Figures of each step over the same queries by the step's title, and which queries it could not take."""
    steps: dict[str, dict[str, Any]] = {}
    notes = []
    for name, title in LADDER.items():
        of_step = rows if name == "none" else ladder.get(name)
        if of_step is None:
            continue
        scored = [row for row in score(items, match(of_step, items.items)) if row.item.task == "ground"]
        steps[title] = estimates(scored)
        reasons = Counter(row.failure[1] for row in scored if row.failure)
        if name != "none" and reasons:
            reason, _ = reasons.most_common(1)[0]
            notes.append(f"“{title}”: {reasons.total()} queries failed (counted as wrong), mostly: {reason}")
    return steps, notes
