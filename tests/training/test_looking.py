"""Which tokens the taught heads should look at while a number is written."""

import numpy as np
import pytest
import torch

from scene_r1_cli.models.pocket.build import build_model
from scene_r1_cli.models.pocket.tokens import build_tokenizer
from scene_r1_cli.training.language import frame_features, packed_states
from scene_r1_cli.training.looking import LOOK_LAYER, look_loss, shown_cells
from scene_r1_cli.training.packing import Packer, SoftNumbers
from scene_r1_cli.training.pocket_data import TrainingRoom, key_row, video_row
from scene_r1_cli.training.step_data import batch_rows
from tests.training.views import block_views

CORPUS = ["the chair the lamp by the chair I see red at seconds"]


def test_cells_of_an_object_are_those_it_covers_a_quarter_of():
    instances = np.zeros((56, 84), np.uint8)
    instances[0:28, 0:28] = 3
    instances[0:28, 28:34] = 3  # less than a quarter of its cell
    assert shown_cells(instances, 2).tolist() == [True, False, False, False, False, False]


def test_a_tiny_object_has_its_fullest_cell_and_an_absent_one_none():
    instances = np.zeros((56, 84), np.uint8)
    instances[27:33, 60:64] = 1
    assert shown_cells(instances, 0).tolist() == [False, False, False, False, False, True]
    assert not shown_cells(instances, 5).any()


@pytest.fixture(scope="module")
def parts():
    room = TrainingRoom.of(block_views())
    tokenizer = build_tokenizer(CORPUS)
    return room, build_model(tokenizer, 0), Packer(tokenizer), SoftNumbers(tokenizer, 2.0, 0.3)


def attention(parts, packed):
    """Loss, share and count of rows, where every token is looked at alike."""
    projection = parts[1].model.language_model.layers[LOOK_LAYER].self_attn.q_proj
    with torch.no_grad():
        projection.weight.zero_()
        projection.bias.zero_()
    return looked(parts, packed)


def looked(parts, packed):
    """The batch, and loss, mean share and count of some rows."""
    _, model, _, numbers = parts
    with torch.no_grad():
        rows = batch_rows(packed, numbers, 0, look=True, with_frames=True)
        features = frame_features(model.model.visual, rows, live=True)
        _, states = packed_states(model, rows.batch, features)
        copies = rows.kind == "video"
        assert rows.look is not None
        loss, shares = look_loss(model, states[LOOK_LAYER], rows.batch, rows.look, numbers, copies=copies)
        return rows.batch, (loss, float(shares.mean()) if len(shares) else 0.0, len(shares))


def test_the_first_time_looks_wherever_the_object_is_and_the_others_at_their_frame(parts):
    room, _, packer, numbers = parts
    packed = video_row(room, packer, 10, np.random.default_rng(0))
    batch, (loss, share, count) = attention(parts, [packed])
    is_time = numbers.values["time"][batch.ids[0]] >= 0
    expected, begun = [], set()
    for at in batch.learned[batch.is_thought, 1].tolist():
        if is_time[at]:
            branch = int(batch.branch[0, at])
            frame = room.views.video.times_s.tolist().index(float(numbers.values["time"][batch.ids[0, at]]))
            frames = [frame] if branch in begun else range(4)
            begun.add(branch)
            object_id = packed.questions[branch - 1].named[0]
            shown = sum(shown_cells(room.views.video.instances[f], object_id).sum() for f in frames)
            expected.append(shown / int(batch.mask[0, 0, at - 1].sum()))
    # The chair is named in frames 1 and 2, the lamp in all four.
    assert count == 2 * len(expected) == 12
    assert len(set(expected)) > 2
    assert share == pytest.approx(np.mean(expected), rel=1e-4)
    # Beside it stands the cross entropy of what is read there, which is never negative.
    assert float(loss) > -np.mean(np.log(expected))


def test_without_thinking_a_video_has_nothing_to_look_at(parts):
    room = parts[0]
    packer = Packer(build_tokenizer(CORPUS), think=False)
    _, (loss, _, count) = attention(parts, [video_row(room, packer, 10, np.random.default_rng(0))])
    assert (float(loss), count) == (0.0, 0)


def test_corners_look_at_the_object_and_an_absent_one_at_nothing(parts):
    room, _, packer, _ = parts
    # Key frame 0 shows the lamp alone, which is asked about; the chair is not there.
    packed = key_row(room, 0, packer, 10, np.random.default_rng(0))
    _, (_, share, count) = attention(parts, [packed])
    boxes = [question for question in packed.questions if question.truth]
    assert count == 2 * 4 * len(boxes)
    assert len(boxes) < len(packed.questions)
    assert 0 < share < 0.5
    nothing = [question for question in packed.questions if not question.truth]
    assert nothing[0].named == (0,)


def test_rows_look_together_as_each_alone(parts):
    room, _, packer, numbers = parts
    tokenizer = build_tokenizer(CORPUS)
    fresh = (room, build_model(tokenizer, 5), packer, numbers)
    rows = [video_row(room, packer, count, np.random.default_rng(count)) for count in (1, 2, 10)]
    _, (together, share, count) = looked(fresh, rows)
    alone = [looked(fresh, [row])[1] for row in rows]
    counts = [of for _, _, of in alone]
    assert count == sum(counts)
    assert len(set(counts)) > 1
    assert float(together) == pytest.approx(
        np.average([float(of[0]) for of in alone], weights=counts), rel=1e-4
    )
    assert share == pytest.approx(np.average([of[1] for of in alone], weights=counts), rel=1e-3)
