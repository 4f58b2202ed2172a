"""The longest prompts run once before step 1, and what does not fit is one sentence."""

import pytest
import torch

from scene_r1_cli.errors import SetupError
from scene_r1_cli.training.preflight import preflight
from tests.tiny_models import save_tiny_vlm
from tests.training.test_shared_grpo import Prompts, trainer_of


@pytest.fixture
def trainer(tmp_path):
    from scene_r1_cli.training.shared_grpo import SharedPrefixGRPOTrainer

    return trainer_of(
        SharedPrefixGRPOTrainer, save_tiny_vlm(tmp_path / "tiny", "qwen2.5-vl"), save_strategy="no"
    )


def begin(trainer, lengths=(40, 50, 90, 60)):
    told = []
    callback = preflight(trainer, Prompts(), lengths, told.append)  # pyright: ignore
    trainer.create_optimizer()
    callback.on_train_begin(trainer.args, trainer.state, trainer.control)
    return told


@pytest.mark.parametrize("kind", ["shared", "stock"])
def test_the_longest_prompt_runs_with_completions_of_full_length(trainer, kind, monkeypatch):
    from trl.trainer.grpo_trainer import GRPOTrainer

    seen = []
    target = type(trainer) if kind == "shared" else GRPOTrainer
    if kind == "stock":
        monkeypatch.delattr(type(trainer), "frames_once")
    real = target._get_per_token_logps_and_entropies

    def watched(self, model, input_ids, attention_mask, logits_to_keep, *more, **others):
        seen.append((input_ids.shape, logits_to_keep, attention_mask[:, -logits_to_keep:].all()))
        return real(self, model, input_ids, attention_mask, logits_to_keep, *more, **others)

    monkeypatch.setattr(type(trainer), "_get_per_token_logps_and_entropies", watched)
    before = {name: weight.clone() for name, weight in trainer.model.named_parameters()}
    state = torch.get_rng_state()
    (told,) = begin(trainer)
    ((shape, kept, whole),) = seen
    processor = trainer.processing_class
    row = Prompts()[2]
    text = processor.apply_chat_template(row["prompt"], add_generation_prompt=True)
    length = processor(text=[text], images=[row["images"]])["input_ids"]
    assert (tuple(shape), kept, bool(whole)) == ((4, len(length[0]) + 12), 12, True)
    assert "peak resident memory" in told
    assert "longest prompt 90 tokens, 4 completions of 12" in told
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(weight, before[name]) for name, weight in trainer.model.named_parameters())
    assert all(weight.grad is None for weight in trainer.model.parameters())


def test_what_does_not_fit_says_what_to_lower(trainer):
    """Replies of this length are more bytes than a process can address, so PyTorch really refuses them."""
    trainer.args.max_completion_length = 30_000_000_000_000
    with pytest.raises(SetupError, match="Memory ran out in the preflight: per-device batch 4") as caught:
        begin(trainer)
    assert "trl.max_completion_length" in caught.value.hint


def test_an_error_that_is_not_about_memory_stays_what_it_is(trainer, monkeypatch):
    monkeypatch.setattr(
        type(trainer), "_get_per_token_logps_and_entropies", lambda *_, **__: torch.zeros(2) @ torch.zeros(3)
    )
    with pytest.raises(RuntimeError, match="size"):
        begin(trainer)
