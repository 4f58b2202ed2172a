"""Labels of one room: its sentences and questions joined with what the video shows and the true boxes."""

from __future__ import annotations

from collections.abc import Mapping

from scene_r1_cli.data.labels import Label
from scene_r1_cli.data.rooms.annotations import RoomTexts
from scene_r1_cli.data.rooms.expressions import describe_objects
from scene_r1_cli.data.rooms.layout import Room
from scene_r1_cli.data.rooms.questions import Question, ask_about_room, imagine_situations
from scene_r1_cli.data.rooms.spatial_questions import SpatialQuestion, ask_spatial
from scene_r1_cli.data.supervision import Visibility
from scene_r1_cli.types import Box3D


def write_texts(room: Room, seen: Mapping[int, Visibility], boxes: Mapping[int, Box3D]) -> RoomTexts:
    """Everything to say and ask about a room.

    Args:
        room: The room.
        seen: Objects that the video shows.
        boxes: True boxes by ``object_id``.
    """
    furniture = frozenset(item.object_id for item in room.furniture)
    findable = furniture & frozenset(seen) & frozenset(boxes)
    first_seen = {object_id: visibility.runs_s[0][0] for object_id, visibility in seen.items()}
    return RoomTexts(
        expressions=[
            text for text in describe_objects(room) if findable.issuperset({text.object_id, *text.anchors})
        ],
        questions=ask_about_room(room, findable),
        situations=imagine_situations(room, findable),
        spatial=ask_spatial(room, boxes, first_seen),
    )


def label_room(
    scene_id: str, texts: RoomTexts, seen: Mapping[int, Visibility], boxes: Mapping[int, Box3D]
) -> list[Label]:
    """Sentences first, then questions; ``query_id`` says which of each."""
    labels = [
        Label(
            scene_id=scene_id,
            query_id=f"find_{number:03d}",
            text=expression.text,
            object_id=expression.object_id,
            runs_s=seen[expression.object_id].runs_s,
            main_run=seen[expression.object_id].main_run,
            keyframes=seen[expression.object_id].keyframes,
            box3d=boxes[expression.object_id],
        )
        for number, expression in enumerate(texts.expressions)
    ]
    asked = [
        _question(scene_id, f"ask_{number:03d}", q, q.text, seen) for number, q in enumerate(texts.questions)
    ]
    situated = [(situation.text, q) for situation in texts.situations for q in situation.questions]
    asked += [
        _question(scene_id, f"situated_{number:03d}", q, f"{where} {q.text}", seen)
        for number, (where, q) in enumerate(situated)
    ]
    asked += [_spatial(scene_id, f"spatial_{number:03d}", q) for number, q in enumerate(texts.spatial)]
    return labels + asked


def _question(
    scene_id: str, query_id: str, question: Question, text: str, seen: Mapping[int, Visibility]
) -> Label:
    """A question about one object carries when and where that object is visible."""
    visible = seen[question.object_ids[0]] if len(question.object_ids) == 1 else None
    return Label(
        scene_id=scene_id,
        query_id=query_id,
        text=text,
        object_id=question.object_ids[0] if visible else None,
        runs_s=visible.runs_s if visible else (),
        main_run=visible.main_run if visible else None,
        keyframes=visible.keyframes if visible else (),
        answers=question.answers,
        answer_type=question.kind,
    )


def _spatial(scene_id: str, query_id: str, question: SpatialQuestion) -> Label:
    options = "" if question.options is None else "\nOptions:\n" + "\n".join(question.options)
    return Label(
        scene_id=scene_id,
        query_id=query_id,
        text=question.question + options,
        object_id=None,
        runs_s=(),
        main_run=None,
        keyframes=(),
        answers=(question.truth,),
        answer_type=question.question_type,
    )
