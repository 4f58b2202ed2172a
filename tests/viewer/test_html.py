"""Pages escape what they show, and work without a network."""

import base64
import json
import re

import numpy as np
import pytest

from scene_r1_cli.data.labels import read_labels
from scene_r1_cli.data.rooms import RoomOptions, make_room
from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.errors import InputError
from scene_r1_cli.run_dir import RunDir
from scene_r1_cli.training.report import write_training_report
from scene_r1_cli.viewer.html import THREE, single_file, write_page
from scene_r1_cli.viewer.scene3d import MAX_SCENE_POINTS, view_3d
from tests.pages import HOSTILE, write_evaluation


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    options = RoomOptions(duration_s=4, fps=4, color_size_wh=(160, 120), depth_size_wh=(160, 120))
    return make_room(9000, tmp_path_factory.mktemp("rooms"), options).path


def answers_page(folder, text):
    result = {
        "query": text,
        "failure": None,
        "answers": [text],
        "rationale": {"temporal": text},
        "timings_s": {"total": 1.0},
    }
    values = {
        "rows": [{"result": result, "exchanges": [{"prompt": text, "reply": text}]}],
        "pictures": [],
        "scene_id": "s",
        "source": "rooms",
        "duration_s": 10.0,
    }
    return write_page(folder, "answers.html", values, data={"text": text}, scripts=("evaluation.js",))


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_texts_stay_texts(tmp_path, text):
    page = answers_page(tmp_path, text).read_text()
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    data = (tmp_path / "data.js").read_text()
    assert "<" not in data
    assert "\u2028" not in data
    written = json.loads(data.removeprefix("window.SCENER1 = ").rstrip().removesuffix(";"))
    assert written == {"text": text}


def test_a_page_asks_for_nothing_outside_its_folder(tmp_path):
    page = answers_page(tmp_path, "x").read_text()
    assert re.findall(r"https?://", page) == []
    used = re.findall(r'src="([^"]+)"', page)
    assert used == ["data.js", "evaluation.js"]
    assert all((tmp_path / name).is_file() for name in used)


def test_the_3d_view_holds_the_scene_the_boxes_and_the_path(room):
    label = next(label for label in read_labels(room / "labels" / "rooms.parquet") if label.box3d)
    view = view_3d(open_scene(room), np.zeros((5, 3), np.float32), label.box3d, None)
    assert set(view) == {"path", "scene", "object", "predicted"}
    points = np.frombuffer(base64.b64decode(view["scene"]["points"]), "<f4").reshape(-1, 3)
    colors = np.frombuffer(base64.b64decode(view["scene"]["colors"]), np.uint8).reshape(-1, 3)
    assert 1_000 < len(points) == len(colors) <= MAX_SCENE_POINTS
    assert points[:, 2].min() > -0.3  # the floor is at 0
    assert np.array(view["predicted"]).shape == (12, 2, 3)
    assert np.isfinite(np.array(view["path"])).all()


def test_the_page_of_a_training_run_has_its_curves(tmp_path):
    run = RunDir(tmp_path / "run")
    run.start("train-temporal", {}, [])
    for step in range(1, 25):
        run.append_training({"step": step, "reward": step / 24, "rewards/span_iou/mean": 0.5, "loss": 0.1})
    run.append_training({"step": 24, "train_runtime": 3.0})
    with (run.path / "train.jsonl").open("a") as file:
        file.write('{"step": 25, "rew')  # killed while it wrote
    page = write_training_report(run, "train-temporal", "pocket", "interrupted")
    data = (run.report_dir / "data.js").read_text()
    shown = json.loads(data.removeprefix("window.SCENER1 = ").rstrip().removesuffix(";"))
    assert shown["steps"] == list(range(1, 25))
    assert {curve["title"] for curve in shown["curves"]} == {"reward", "reward span_iou", "loss"}
    assert "0.021" not in page.read_text()  # first and last are means of two steps
    assert "0.062 → 0.979" in page.read_text()


def test_details_of_queries_lie_in_chunks_of_their_own(tmp_path):
    run = RunDir(tmp_path / "run")
    write_evaluation(run, 250)
    write_evaluation(run, 150)  # chunks of an earlier page do not stay
    chunks = sorted(run.report_dir.glob("data-*.js"))
    assert [path.name for path in chunks] == ["data-000.js", "data-001.js"]
    rows = []
    for number, path in enumerate(chunks):
        head, _, text = path.read_text().partition(" = ")
        assert head == f"(window.SCENER1_CHUNKS ||= [])[{number}]"
        assert "<" not in text
        rows += json.loads(text.rstrip().removesuffix(";"))
    shown = (run.report_dir / "data.js").read_text()
    listed = json.loads(shown.removeprefix("window.SCENER1 = ").rstrip().removesuffix(";"))["rows"]
    assert len(rows) == len(listed) == 150
    assert listed[3]["query"] == HOSTILE[3]
    assert rows[3]["rationale"][0].startswith(HOSTILE[3])
    assert "rationale" not in listed[3]


def test_a_report_fits_in_one_file(tmp_path):
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "a.jpg").write_bytes(b"jpeg")
    values = {
        "rows": [],
        "pictures": [{"path": "frames/a.jpg", "caption": 'x" src="frames/a.jpg'}],
        "scene_id": "s",
        "source": "rooms",
        "duration_s": 1.0,
    }
    row = {"result": {"query": HOSTILE[4], "failure": None, "answers": [], "rationale": {"temporal": None}}}
    values["rows"] = [row | {"exchanges": []}]
    write_page(
        tmp_path,
        "answers.html",
        values,
        data={"text": HOSTILE[4]},
        scripts=(THREE, "scene3d.js"),
    )
    text = single_file(tmp_path)
    assert re.findall(r'<script src="', text) == []
    assert text.count("<script>") == 3
    assert text.count("</script>") == 3
    assert text.count(' src="data:image/jpeg;base64,anBlZw=="') == 1
    assert "<script>alert" not in text
    with pytest.raises(InputError, match="no report"):
        single_file(tmp_path / "frames")
