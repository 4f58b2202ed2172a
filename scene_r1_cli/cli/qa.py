"""``scener1 qa``: free-form questions about a scene."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scene_r1_cli.cli import options, output
from scene_r1_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from scene_r1_cli.types import AnswerResult

EXIT_SOME_FAILED = 5
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def qa(
    scene: options.SceneName,
    question: Annotated[str | None, typer.Argument(help="The question.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="A choice of a multiple-choice question; repeatable.")
    ] = None,
    situation: Annotated[
        str | None, typer.Option("--situation", help="Where the person who asks is, as in SQA3D.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", help="Questions, one a line, instead; of a .jsonl file with options and situation each."
        ),
    ] = None,
    preset: options.Preset = None,
    model: Annotated[str | None, typer.Option("--model", help="Checkpoint folder or hub name.")] = None,
    think: options.Think = None,
    config: options.ConfigFiles = None,
    sets: options.Sets = None,
    source: options.Source = None,
    store: options.Store = None,
    out: options.Out = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Answer questions about a scene from its video, with reasons.

    Questions of one call share the video: it is shown to the model once.

    Examples:

      scener1 qa demo "how many chairs are there?"

      scener1 qa scene0011_00 "what is nearest to the door?" --option chair --option bed

      scener1 qa scene0011_00 --file questions.jsonl --json
    """
    from dataclasses import replace

    from scene_r1_cli.config_load import load_config
    from scene_r1_cli.data.store import DEFAULT_STORE, resolve_scene
    from scene_r1_cli.evaluation.predict import AskingModels, cached_scene
    from scene_r1_cli.models.pocket import POCKET
    from scene_r1_cli.models.pocket.domain import check_scene
    from scene_r1_cli.models.prompts import answer_prompt
    from scene_r1_cli.models.provider import Models
    from scene_r1_cli.pipeline import answer_query
    from scene_r1_cli.query_dir import query_id_of
    from scene_r1_cli.run_dir import RunDir
    from scene_r1_cli.serialize import answer_result_to_json
    from scene_r1_cli.stages.answer_report import write_answer_report
    from scene_r1_cli.types import Query

    texts = _questions(question, file, option or [], situation)
    flags = {"model.name": model, **options.think_flags(think)}
    settings = load_config(preset=preset, files=config or [], sets=sets or [], flags=flags)
    opened = resolve_scene(scene, store or DEFAULT_STORE, source)
    if settings.model.name == POCKET and settings.model.endpoint is None and preset is None:
        check_scene(opened)
    models = AskingModels(Models(settings))
    asked = [Query(opened.scene_id, query_id_of(text), text) for text in texts]
    think_first = settings.answer.think
    models.vlm.expect([answer_prompt(query.text, opened.duration_s, think=think_first) for query in asked])
    run = RunDir(
        out or RunDir.default_path("qa", f"{opened.scene_id}-{asked[0].query_id}"),
        resume=resume,
        overwrite=overwrite,
    )
    run.start("qa", settings.model_dump(mode="json"), sys.argv[1:], opened)
    status, results = "interrupted", []
    try:
        with (
            output.going_on(run.path),
            output.logging_to(run.log_path, quiet=quiet),
            output.progress_bar("questions", len(asked)) as update,
        ):
            kept = cached_scene(opened)
            for number, query in enumerate(asked, start=1):
                artifacts = run.query(query.scene_id, query.query_id)
                result = answer_query(kept, query, settings, models, artifacts=artifacts)
                results.append(replace(result, run_dir=str(run.path)))
                run.append_prediction(answer_result_to_json(results[-1]))
                update(number)
            write_answer_report(kept, results, run, settings.video, models.vlm.model_size_wh)
        failed = any(result.failure for result in results)
        status = "failed items" if failed else "done"
    finally:
        run.finish(status)
    for result in results:
        if as_json:
            output.print_json(answer_result_to_json(result))
        else:
            for line in _lines(result):
                output.print_data(line)
    if not quiet:
        output.next_step(f"open {run.path}/report/index.html")
    if failed:
        raise typer.Exit(EXIT_SOME_FAILED)


def _questions(
    question: str | None, file: Path | None, choices: list[str], situation: str | None
) -> list[str]:
    """Texts to ask. Raises UsageError or InputError when there is nothing to ask."""
    if (question is None) == (file is None):
        raise UsageError("Give one question, or --file with one a line.")
    if file is None:
        if not (question or "").strip():
            raise UsageError("The question is empty.", 'Ask something, e.g. "how many chairs are there?".')
        return [_full_text(question or "", choices, situation)]
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The questions file {file} cannot be read: {error}.") from error
    if not lines:
        raise InputError(f"The questions file {file} holds no question.")
    if file.suffix == ".jsonl":
        texts = [_of_row(f"{file}, line {number}", line) for number, line in enumerate(lines, start=1)]
    else:
        texts = [_full_text(line, choices, situation) for line in lines]
    return list(dict.fromkeys(texts))


def _of_row(where: str, line: str) -> str:
    """A line of a .jsonl file: ``question``, and maybe ``options`` and ``situation``. Raises InputError."""
    try:
        row = json.loads(line)
        question, options, situation = row["question"], row.get("options") or [], row.get("situation")
        texts = [question, *options, *([situation] if situation else [])]
        if not question.strip() or not all(isinstance(text, str) for text in texts):
            raise TypeError("an empty question, or something that is no text")
        return _full_text(question, options, situation)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{where}: {error!r}.", 'A line is {"question": "…", "options": ["…", "…"], "situation": "…"}.'
        ) from error


def _full_text(question: str, choices: list[str], situation: str | None) -> str:
    if len(choices) == 1 or len(choices) > len(LETTERS):
        raise UsageError(f"A question takes 2 to {len(LETTERS)} choices, not {len(choices)}.")
    listed = "".join(f"\n{LETTERS[i]}. {choice}" for i, choice in enumerate(choices))
    before = f"{situation.strip()} " if situation and situation.strip() else ""
    return f"{before}{question.strip()}" + (f"\nOptions:{listed}" if listed else "")


def _lines(result: AnswerResult) -> list[str]:
    lines = [f"question  {result.query.text}"]
    if result.answer is not None:
        lines.append(f"answer    {result.answer.text}")
        if result.answer.rationale:
            lines.append(f"          “{result.answer.rationale}”")
    if result.failure is not None:
        lines.append(f"failed    {result.failure.stage}: {result.failure.reason}")
    return lines
