"""Figures as Markdown, for people and for papers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TITLES = {
    "ap": "AP (.50 to .90)",
    "ap_50": "AP50",
    "ap_25": "AP25",
    "recall": "recall (.50 to .90)",
    "recall_50": "recall at .50",
    "recall_25": "recall at .25",
    "mask_iou": "mean IoU of the best mask",
    "mean_iou": "mean IoU",
    "acc_at_0.25": "Acc@0.25",
    "acc_at_0.50": "Acc@0.5",
    "f1_at_0.25": "F1@0.25",
    "f1_at_0.50": "F1@0.5",
    "acc_by_distance": "accuracy, nearest true box (gtbbox_dist)",
    "acc_by_iou": "accuracy, most overlapping true box (gtbbox_iou)",
    "span_iou": "span IoU with the nearest run",
    "box_iou": "2D box IoU",
    "em": "EM@1 (ScanQA's, as written)",
    "em_at_10": "EM@10",
    "em_clean": "EM (cleaned, as for SQA3D)",
    "em_refined": "EM-R (LEO's refined match)",
    "bleu_1": "BLEU-1",
    "bleu_2": "BLEU-2",
    "bleu_3": "BLEU-3",
    "bleu_4": "BLEU-4",
    "meteor": "METEOR",
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr",
    "vsi": "VSI-Bench score (first word, official)",
    "vsi_read": "VSI-Bench score (the answer read through)",
    "vsi_overall": "VSI-Bench overall (mean of tasks)",
}


def markdown(report: Mapping[str, Any]) -> str:
    """The whole report of ``metrics.json``."""
    lines = [f"# {report['benchmark']}", ""]
    about = {
        "queries": report["n"],
        "without a prediction (counted as wrong)": report["missing"],
        "failed (counted as wrong)": report["failed"],
        "true boxes": report["truth_source"],
        **report.get("about", {}),
    }
    lines += [f"- {name}: {plain(value)}" for name, value in about.items()]
    lines += [f"- {note}" for note in report["notes"]]
    for title, parts in tables(report).items():
        lines += ["", title, "", *_table(parts)]
    if report["failures"]:
        lines += ["", "Failures by stage", "", "| stage | queries |", "|---|---|"]
        lines += [f"| {stage} | {count} |" for stage, count in report["failures"].items()]
    return "\n".join(lines) + "\n"


def tables(report: Mapping[str, Any]) -> dict[str, Mapping[str, Mapping[str, Any]]]:
    """Every table of a report by title, each ``{part: metrics}``."""
    found: dict[str, Mapping[str, Mapping[str, Any]]] = {"All": {"all": report["metrics"]}}
    if report.get("ladder"):
        found["Where accuracy is lost: truth in place of the first stages"] = report["ladder"]
    return found | {f"By {kind}": parts for kind, parts in report["groups"].items()}


def table_of(parts: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[tuple[str, list[str], int]]]:
    """Titles of the columns, and per part its name, cells and number of queries."""
    names = [name for name in TITLES if any(name in metrics for metrics in parts.values())]
    rows = []
    for title, metrics in parts.items():
        counts = [entry["n"] for name, entry in metrics.items() if name != "vsi_overall"]
        rows.append((title, [cell(metrics.get(name)) for name in names], max(counts, default=0)))
    return [TITLES[name] for name in names], rows


def _table(parts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    titles, rows = table_of(parts)
    lines = ["| | " + " | ".join(titles) + " | n |", "|---" * (len(titles) + 2) + "|"]
    return lines + [f"| {title} | " + " | ".join(cells) + f" | {count} |" for title, cells, count in rows]


def plain(value: Any) -> str:
    """A value of ``about`` for people."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    if isinstance(value, list):
        return " / ".join(plain(one) for one in value)
    return str(value)


def cell(entry: Mapping[str, Any] | None) -> str:
    """``.123 [.100, .150]``; "not computed" where there is no figure."""
    if entry is None or entry["value"] is None:
        return "not computed"
    text = f"{entry['value']:.3f}"
    return text + (f" [{entry['ci95'][0]:.3f}, {entry['ci95'][1]:.3f}]" if entry["ci95"] else "")
