"""Data, settings and warnings of GRPO."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from scene_r1_cli.config_load import load_config, load_settings
from scene_r1_cli.data.labels import KeyframeLabel, Label, write_labels
from scene_r1_cli.errors import ConfigError, InputError, SetupError
from scene_r1_cli.grpo_config import DataConfig, GrpoConfig
from scene_r1_cli.models.families import FAMILIES
from scene_r1_cli.models.prompts import span_prompt
from scene_r1_cli.preprocess_config import PreprocessConfig
from scene_r1_cli.run_dir import RunDir
from scene_r1_cli.training.grpo import _check_number
from scene_r1_cli.training.grpo_data import PromptDataset
from scene_r1_cli.training.grpo_setup import own_device, reported_to, trl_arguments, whole_groups
from scene_r1_cli.training.samples import find_samples
from scene_r1_cli.training.watch import STUCK_LOGS, TREND_LOGS, sicknesses
from tests import captures

CONFIGS = Path("configs")
SFT_FILES = {"pocket", "pocket-gpu", "pocket-more", "pocket-no-think"}
GRPO_FILES = sorted(path for path in (CONFIGS / "train").glob("*.yaml") if path.stem not in SFT_FILES)


@pytest.mark.parametrize("path", GRPO_FILES, ids=lambda path: path.stem)
def test_shipped_training_configs_are_accepted_by_us_and_by_trl(path, tmp_path):
    from trl.trainer.grpo_config import GRPOConfig

    config = load_settings(GrpoConfig, files=[path])
    load_config(preset=config.preset)
    values = config.trl | {"output_dir": str(tmp_path), "report_to": [], "bf16": False, "use_cpu": True}
    made = GRPOConfig(**values)
    assert made.num_generations == config.trl["num_generations"]


PINNED = {
    "num_generations",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "num_train_epochs",
    "learning_rate",
    "lr_scheduler_type",
    "warmup_steps",
    "optim",
    "weight_decay",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "max_grad_norm",
    "bf16",
    "seed",
    "beta",
    "epsilon",
    "num_iterations",
    "loss_type",
    "scale_rewards",
    "multi_objective_aggregation",
    "importance_sampling_level",
    "mask_truncated_completions",
    "top_entropy_quantile",
    "entropy_coef",
    "use_bias_correction_kl",
    "sync_ref_model",
    "disable_dropout",
    "shuffle_dataset",
    "temperature",
    "top_p",
    "top_k",
    "repetition_penalty",
    "max_completion_length",
}


@pytest.mark.parametrize("stage", ["temporal", "image"])
def test_the_papers_configuration_leaves_nothing_to_trls_defaults(stage):
    config = load_settings(GrpoConfig, files=[CONFIGS / "train" / f"paper-7b-{stage}.yaml"])
    assert not PINNED - config.trl.keys()


def test_a_word_where_trl_takes_a_number_is_refused(tmp_path):
    from trl.trainer.grpo_config import GRPOConfig

    with pytest.raises(ConfigError, match=r"trl\.learning_rate is 'fast', where TRL takes float"):
        trl_arguments(GRPOConfig, GrpoConfig(trl={"learning_rate": "fast"}), tmp_path, 8)


def test_vllm_modes_reach_trl_and_need_their_package(tmp_path, monkeypatch):
    from trl.trainer.grpo_config import GRPOConfig

    config = GrpoConfig(trl={"use_vllm": True, "vllm_mode": "server", "vllm_server_host": "other"})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "vllm" else name)
    with pytest.raises(SetupError, match=r"trl\.use_vllm needs the package vllm"):
        trl_arguments(GRPOConfig, config, tmp_path, 8)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    made = trl_arguments(GRPOConfig, config, tmp_path, 8)
    assert (made.use_vllm, made.vllm_mode, made.vllm_server_host) == (True, "server", "other")


def test_shipped_preprocess_and_accelerate_configs_are_read():
    for path in (CONFIGS / "preprocess").glob("*.yaml"):
        assert load_settings(PreprocessConfig, files=[path]) == PreprocessConfig()
    names = {path.stem for path in (CONFIGS / "accelerate").glob("*.yaml")}
    assert names == {"cpu", "one-gpu", "zero3", "fsdp2"}
    for path in (CONFIGS / "accelerate").glob("*.yaml"):
        assert yaml.safe_load(path.read_text())["num_processes"] >= 1


def test_settings_below_trl_and_lora_come_from_files_and_flags(tmp_path):
    (tmp_path / "a.yaml").write_text("trl: {max_steps: 5, beta: 0.1}\nlora: {r: 8}\n")
    config = load_settings(GrpoConfig, files=[tmp_path / "a.yaml"], sets=["trl.max_steps=7"])
    assert config.trl == {"max_steps": 7, "beta": 0.1}
    assert config.lora.r == 8
    with pytest.raises(ConfigError):
        load_settings(GrpoConfig, sets=["lora={rank: 8}"])


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "scannet" / "scene0000_00"
    captures.write_test_sens(folder / "scene0000_00.sens", 8)
    keyframes = (KeyframeLabel(2, (4.0, 4.0, 30.0, 30.0), 1.0), KeyframeLabel(5, (1.0, 1.0, 9.0, 9.0), 0.5))
    rows = [
        Label("scene0000_00", "a", "the chair", 1, ((0.1, 0.7),), 0, keyframes),
        Label("scene0000_00", "b", "the blink", 2, ((0.1, 0.2),), 0, keyframes[:1]),
        Label("scene0000_00", "c", "nothing", None, (), None, ()),
        Label("scene0000_00", "d", "what is it?", None, (), None, (), ("a chair",), "what"),
    ]
    write_labels(folder / "labels" / "test.parquet", rows)
    return tmp_path


DATA = DataConfig(rooms=0, labels="test")


class Sizes:
    """A model of which only sizes matter."""

    name = "sizes"
    family = FAMILIES["qwen2.5-vl"]

    def model_size_wh(self, original_wh, max_side_px):
        return 28, 28


@pytest.mark.parametrize(("stage", "ids"), [("temporal", ["a"]), ("image", ["a", "a", "b"]), ("qa", ["d"])])
def test_only_labels_that_can_be_a_reward_are_asked(store, stage, ids):
    assert [sample.label.query_id for sample in find_samples(stage, DATA, store)] == ids


def test_no_label_at_all_is_told(store):
    with pytest.raises(InputError, match=r"no label to train temporal on in labels/none\.parquet"):
        find_samples("temporal", DATA.model_copy(update={"labels": "none"}), store)


def test_prompts_are_those_of_inference(store):
    samples = find_samples("temporal", DATA, store)
    dataset = PromptDataset("temporal", samples, Sizes(), load_config())  # pyright: ignore
    row = dataset[0]
    content = row["prompt"][0]["content"]
    assert content[-1]["text"] == span_prompt("the chair", 0.8)
    assert [part["type"] for part in content[:2]] == ["text", "image"]
    assert sum(part["type"] == "image" for part in content) == len(row["images"])
    assert row["images"][0].size == (28, 28)
    assert dataset.truth_of(0) == {"runs_s": ((0.1, 0.7),), "duration_s": pytest.approx(0.8)}
    rows = dataset.as_dataset()
    assert rows[0]["prompt"] == row["prompt"]


def test_a_key_frame_is_asked_at_its_own_size(store):
    samples = find_samples("image", DATA, store)
    dataset = PromptDataset("image", samples, Sizes(), load_config())  # pyright: ignore
    assert len(dataset[1]["images"]) == 1
    truth = dataset.truth_of(1)
    assert truth["box_xyxy_px"] == (1.0, 1.0, 9.0, 9.0)
    assert truth["original_wh"] == (64, 48)
    assert np.array(dataset[1]["images"][0]).shape == (28, 28, 3)


def logs(**values):
    return [
        {"reward": 0.5, "frac_reward_zero_std": 0.1, "completions/clipped_ratio": 0.0} | values
    ] * STUCK_LOGS


@pytest.mark.parametrize(
    ("batch", "passes", "expected"),
    [(8, 1, None), (16, 3, None), (1, 8, (8, 1)), (2, 8, (8, 2)), (4, 6, (8, 3)), (3, 1, "splits")],
)
def test_a_group_is_one_pass_of_one_device(batch, passes, expected):
    values = {
        "num_generations": 8,
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": passes,
    }
    if expected == "splits":
        with pytest.raises(ConfigError, match="splits groups"):
            whole_groups(values)
        return
    made = whole_groups(values)
    if expected is None:
        assert made == {}
    else:
        assert (made["per_device_train_batch_size"], made["gradient_accumulation_steps"]) == expected
        assert expected[0] * expected[1] == batch * passes


def test_known_sicknesses_are_told_by_name():
    assert sicknesses(logs()) == []
    assert [name for name, _ in sicknesses(logs(reward=0.0))] == ["reward stuck at 0"]
    assert [name for name, _ in sicknesses(logs(frac_reward_zero_std=1.0))] == ["all groups with zero spread"]
    assert [name for name, _ in sicknesses(logs(**{"completions/clipped_ratio": 1.0}))] == [
        "all completions are cut"
    ]
    assert sicknesses(logs(reward=0.0)[:-1]) == []
    form, score = "rewards/format/mean", "rewards/span_iou/mean"
    rising = [row | {form: step / 40, score: 0.2} for step, row in enumerate(logs() * 8)]
    assert len(rising) >= 2 * TREND_LOGS
    assert [name for name, _ in sicknesses(rising)] == ["format reward up while IoU is flat"]
    learning = [row | {score: step / 100} for step, row in enumerate(rising)]
    assert sicknesses(learning) == []


WRITERS = {
    "Python": OSError(28, "No space left on device"),
    "safetensors": RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    "PyTorch": RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
    "something else": ValueError("no such layer"),
}
"""What is raised when a disk runs full, as it was on a full tmpfs."""


@pytest.mark.parametrize("writer", WRITERS)
def test_a_checkpoint_that_fails_halfway_leaves_the_last_whole_one(tmp_path, writer):
    from types import SimpleNamespace

    from scene_r1_cli.training.whole_checkpoints import WholeCheckpoints

    class Base:
        args: Any
        state: Any
        fails = False

        def _save_checkpoint(self, model, trial):
            out = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            out.mkdir(parents=True)
            (out.parent / "README.md").write_text("card")
            (out / "model.safetensors").write_text(str(model))
            if self.fails:
                raise WRITERS[writer]
            (out / "trainer_state.json").write_text("{}")

    class Trainer(WholeCheckpoints, Base):
        args = SimpleNamespace(output_dir=str(tmp_path), should_save=True, save_total_limit=2)
        state = SimpleNamespace(global_step=0)
        accelerator = SimpleNamespace(wait_for_everyone=lambda: None)

    trainer = Trainer()
    for step in (1, 2, 3, 3):
        trainer.state.global_step = step
        trainer._save_checkpoint(f"weights {step}", None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-2", "checkpoint-3"]
    trainer.state.global_step, trainer.fails = 4, True
    if writer == "something else":
        with pytest.raises(ValueError, match="no such layer"):
            trainer._save_checkpoint("weights 4", None)
    else:
        told = "is full: checkpoint-4 could not be written; the last whole one is checkpoint-3"
        with pytest.raises(SetupError, match=told):
            trainer._save_checkpoint("weights 4", None)
    assert trainer.args.output_dir == str(tmp_path)
    whole = tmp_path / "checkpoint-3"
    assert sorted(path.name for path in whole.iterdir()) == [
        "README.md",
        "model.safetensors",
        "trainer_state.json",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-2", "checkpoint-3"]


def test_a_run_goes_on_with_the_data_it_began_with(tmp_path):
    run = RunDir(tmp_path / "run")
    run.keep_data(12, "a")
    run.keep_data(12, "a")
    with pytest.raises(InputError, match="began with 12 other queries than the 11 found now"):
        run.keep_data(11, "b")


def test_fewer_queries_than_a_step_asks_are_told():
    from types import SimpleNamespace

    arguments = SimpleNamespace(generation_batch_size=48, num_generations=8)
    _check_number([None] * 6, arguments)  # pyright: ignore
    with pytest.raises(InputError, match=r"fewer queries \(1\) than one step asks \(6\)"):
        _check_number([None], arguments)  # pyright: ignore


def test_reporting_to_a_package_that_is_not_there_is_told():
    assert reported_to("tensorboard") == reported_to(["tensorboard"]) == ["tensorboard"]
    assert reported_to("none") == ["none"]
    assert reported_to([]) == []
    with pytest.raises(SetupError, match="Reporting to no_such_tracker needs the package no_such_tracker"):
        reported_to("no_such_tracker")


@pytest.mark.parametrize(
    ("rank", "has_gpu", "device"), [(None, True, "auto"), ("3", True, "cuda:3"), ("3", False, "auto")]
)
def test_each_process_has_a_gpu_of_its_own(monkeypatch, rank, has_gpu, device):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    monkeypatch.setattr("torch.cuda.is_available", lambda: has_gpu)
    assert own_device("auto") == device
    assert own_device("cpu") == "cpu"
