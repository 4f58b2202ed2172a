"""What a run asks again when it goes on."""

from scene_r1_cli.config_load import load_config
from scene_r1_cli.data.labels import Label
from scene_r1_cli.evaluation.items import Item, ItemSet
from scene_r1_cli.evaluation.predict import MACHINE, failed_row
from scene_r1_cli.evaluation.run import predict
from scene_r1_cli.run_dir import RunDir


def test_what_failed_because_of_the_machine_is_asked_again_and_nothing_else_is(tmp_path):
    items = tuple(
        Item(Label("scene0000_00", f"q{n}", "the chair", 1, (), None, ()), "ground") for n in range(3)
    )
    run = RunDir(tmp_path / "run")
    run.start("evaluate", {}, [])
    run.append_prediction(failed_row(items[0], MACHINE, "its Ray worker was lost"))
    run.append_prediction(failed_row(items[1], "box", "not there"))
    settings = load_config(preset=None, files=[], sets=[], flags={})
    predict(ItemSet("rooms", items, {}, "test"), settings, run, cache=tmp_path / "cache")
    rows = {row["query_id"]: row["failure"] for row in run.read_predictions()}
    assert rows["q0"] == {"stage": "video", "reason": "the store has no scene scene0000_00"}
    assert rows["q1"] == {"stage": "box", "reason": "not there"}
    assert rows["q2"]["stage"] == "video"
    assert len(rows) == 3
