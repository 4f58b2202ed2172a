"""Tiny random models of the real architectures: what they see, and that sharing a prefix changes nothing."""

import numpy as np
import pytest
import torch

from scene_r1_cli.config import ModelConfig, SamplingConfig
from scene_r1_cli.errors import ConfigError
from scene_r1_cli.models.families import FAMILIES
from scene_r1_cli.models.provider import load_vlm
from scene_r1_cli.models.transformers_vlm import TransformersVLM
from scene_r1_cli.models.vlm import VideoPrefix
from tests.tiny_models import CHAT_TEMPLATE, qwen_tokenizer, save_tiny_vlm, tiny_tokenizer

FAMILY_NAMES = ["qwen2.5-vl", "qwen3-vl"]
QUESTIONS = [
    "When is the red chair in view?",
    "How many?",
    "Description of an object: the second lamp from the left, between the sofa and the door. Where is it?",
    "x",
]


def load(folder, **settings):
    vlm = load_vlm(ModelConfig(name=str(folder), device="cpu", **settings))
    assert isinstance(vlm, TransformersVLM)
    return vlm


@pytest.fixture(scope="module", params=FAMILY_NAMES)
def vlm(request, tiny_vlm_folder):
    return load(tiny_vlm_folder(request.param))


def without_sharing(vlm):
    """The same model going through ``model.generate``, as architectures that cannot share do."""
    other = TransformersVLM(vlm.name, vlm._model, vlm._processor, vlm.family, SamplingConfig())
    other._shares_prefix = False
    return other


def make_prefix(vlm, num_frames=3, original_wh=(640, 480), max_side_px=320, seed=0):
    width, height = vlm.model_size_wh(original_wh, max_side_px)
    random = np.random.default_rng(seed)
    frames_rgb = random.integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8)
    return VideoPrefix(frames_rgb, np.arange(num_frames) * 2.5)


def test_family_is_read_from_the_checkpoint(tiny_vlm_folder):
    for name in FAMILY_NAMES:
        vlm = load(tiny_vlm_folder(name))
        assert vlm.family == FAMILIES[name]
        assert vlm.name == str(tiny_vlm_folder(name))


def test_image_tokens_and_identity_of_the_processors_resize(vlm):
    prefix = make_prefix(vlm, num_frames=2)
    width, height = prefix.size_wh
    patch_px, factor_px = vlm.family.patch_px, vlm.family.grid.factor_px
    rows, vision = vlm.encode_shared(prefix, [vlm.render(prefix, "Where?")])
    assert vision["image_grid_thw"].tolist() == [[1, height // patch_px, width // patch_px]] * 2
    num_tokens = (width // factor_px) * (height // factor_px)
    assert rows[0].count(vlm._processor.image_token_id) == 2 * num_tokens

    # Un-normalised, the first patch is the first patch of the frame: no pixel was changed.
    images = vlm._processor.image_processor
    patches = vision["pixel_values"][0].reshape(3, 2, patch_px, patch_px)[:, 0].permute(1, 2, 0)
    pixels = (patches * torch.tensor(images.image_std) + torch.tensor(images.image_mean)) * 255
    np.testing.assert_allclose(pixels.numpy(), prefix.frames_rgb[0, :patch_px, :patch_px], atol=0.01)


@pytest.mark.parametrize("original_wh", [(1296, 968), (480, 640), (320, 240), (100, 30)])
def test_every_size_asked_for_passes_the_processor_untouched(vlm, original_wh):
    prefix = make_prefix(vlm, num_frames=1, original_wh=original_wh, max_side_px=200)
    vlm.encode_shared(prefix, [vlm.render(prefix, "Where?")])  # raises if the processor resizes


def test_frames_off_the_grid_are_refused(vlm):
    frames_rgb = np.zeros((1, 250, 330, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="use model_size_wh"):
        vlm.generate(VideoPrefix(frames_rgb, np.zeros(1)), ["Where?"], max_new_tokens=1)


def test_times_stand_before_their_frames_as_text(vlm):
    text = vlm.render(make_prefix(vlm), "When is it?")
    frame = "<|vision_start|><|image_pad|><|vision_end|>"
    assert f"<0.0 seconds>{frame}<2.5 seconds>{frame}<5.0 seconds>{frame}When is it?<|im_end|>" in text


def test_prompt_tokens_are_the_processors_own(vlm):
    """Encoding the text behind the last image apart gives the tokens of encoding the whole."""
    prefix = make_prefix(vlm)
    texts = [vlm.render(prefix, question) for question in QUESTIONS]
    rows, _ = vlm.encode_shared(prefix, texts)
    for row, text in zip(rows, texts, strict=True):
        assert row == vlm._encode([text], [prefix])["input_ids"][0].tolist()


def test_a_batch_gives_the_replies_of_single_questions(vlm):
    prefix = make_prefix(vlm)
    batch = vlm.generate(prefix, QUESTIONS, max_new_tokens=24)
    single = [vlm.generate(prefix, [question], max_new_tokens=24)[0] for question in QUESTIONS]
    assert batch == single
    assert len({reply.text for reply in batch}) > 1


def test_sharing_the_prefix_gives_the_replies_of_generate(vlm):
    prefix = make_prefix(vlm)
    reference = without_sharing(vlm)
    expected = [reference.generate(prefix, [question], max_new_tokens=24)[0] for question in QUESTIONS]
    assert vlm.generate(prefix, QUESTIONS, max_new_tokens=24) == expected
    assert reference.generate(prefix, QUESTIONS, max_new_tokens=24) == expected


def test_frames_of_several_prefixes_are_asked_together(vlm):
    from scene_r1_cli.models.vlm import Asked

    asked = [Asked(make_prefix(vlm, seed=seed), QUESTIONS[:seed]) for seed in (2, 0, 1)]
    alone = [vlm.generate(*each, max_new_tokens=8) for each in asked]
    assert [len(replies) for replies in alone] == [2, 0, 1]
    assert vlm.generate_each(asked, max_new_tokens=8) == alone
    assert without_sharing(vlm).generate_each(asked, max_new_tokens=8) == alone


def test_replies_of_different_length_leave_the_batch_one_by_one(vlm, monkeypatch):
    prefix = make_prefix(vlm)
    questions = [*QUESTIONS, *(f"{question} And why?" for question in QUESTIONS)]
    texts = [vlm.render(prefix, question) for question in questions]
    ((_, free),) = vlm._generate_shared([(prefix, texts)], 24, SamplingConfig())
    # Tokens that end some replies early and leave others.
    ends = [*vlm._eos_ids, free[0][9], free[1][4]]
    monkeypatch.setattr(vlm._model.generation_config, "eos_token_id", ends)

    def up_to_end(tokens):
        return next((tokens[: i + 1] for i, token in enumerate(tokens) if token in ends), tokens)

    ((_, ended),) = vlm._generate_shared([(prefix, texts)], 24, SamplingConfig())
    assert ended == [up_to_end(tokens) for tokens in free]
    assert len({len(tokens) for tokens in ended}) > 1
    sampled = SamplingConfig(temperature=1.0, seed=5)
    ((_, together),) = vlm._generate_shared([(prefix, texts)], 24, sampled)
    ((_, alone),) = vlm._generate_shared([(prefix, texts[:1])], 24, sampled)
    assert together[0] == alone[0]
    # Each question has the random numbers that it has alone, also when it is asked several times.
    ((_, mixed),) = vlm._generate_shared([(prefix, [texts[1], texts[0], texts[1]])], 24, sampled)
    ((_, twice),) = vlm._generate_shared([(prefix, [texts[1]] * 2)], 24, sampled)
    assert (mixed[1], [mixed[0], mixed[2]]) == (alone[0], twice)
    assert twice[0] != twice[1]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_groups_with_frames_of_their_own_share_a_batch(vlm, temperature, monkeypatch):
    """Prefixes of other lengths, other numbers of questions, replies that end early: as each group alone."""
    from scene_r1_cli.models import shared_prefix
    from scene_r1_cli.models.shared_prefix import Group, generate_groups

    groups = []
    for seed, count, questions in ((0, 3, QUESTIONS), (1, 1, QUESTIONS[:1]), (2, 2, QUESTIONS[:2] * 2)):
        prefix = make_prefix(vlm, seed=seed, num_frames=count)
        rows, vision = vlm.encode_shared(prefix, [vlm.render(prefix, question) for question in questions])
        groups.append(Group(rows, vision, [seed * 100 + row for row in range(len(rows))]))
    settings = {"max_new_tokens": 12, "sampling": SamplingConfig(temperature=temperature)}
    (first,) = generate_groups(vlm._model, groups[1:2], eos_ids=vlm._eos_ids, **settings)
    # This token ends the second group's only reply at once, and others wherever they come upon it.
    settings["eos_ids"] = [*vlm._eos_ids, first[0][0]]
    together = generate_groups(vlm._model, groups, **settings)
    assert together == [generate_groups(vlm._model, [group], **settings)[0] for group in groups]
    assert [len(of_group) for of_group in together] == [len(group.rows) for group in groups]
    assert len(together[1][0]) == 1
    # Where not all prefixes fit, the groups are written in several batches.
    batches = []
    write = shared_prefix._generate_batch
    monkeypatch.setattr(shared_prefix, "MAX_PREFIX_TOKENS", 1)
    monkeypatch.setattr(
        shared_prefix, "_generate_batch", lambda *given: batches.append(len(given[1])) or write(*given)
    )
    assert generate_groups(vlm._model, groups, **settings) == together
    assert batches == [1, 1, 1]
    assert len({len(reply) for of_group in together for reply in of_group}) > 1


def test_replies_that_are_the_same_so_far_are_computed_once(vlm, monkeypatch):
    """Drawn cold, replies to one question part late; they are those that each seed alone brings."""
    from scene_r1_cli.models.shared_prefix import Group, generate_groups

    questions = [QUESTIONS[0]] * 5 + [QUESTIONS[1]]
    rows, vision = vlm.encode_shared(make_prefix(vlm), [vlm.render(make_prefix(vlm), q) for q in questions])
    settings = {"eos_ids": vlm._eos_ids, "max_new_tokens": 10}
    settings["sampling"] = SamplingConfig(temperature=0.2)
    alone = [generate_groups(vlm._model, [Group([rows[i]], vision, [i])], **settings)[0][0] for i in range(6)]
    forward, widths = vlm._model.forward, []
    monkeypatch.setattr(
        vlm._model, "forward", lambda **given: widths.append(len(given["input_ids"])) or forward(**given)
    )
    (together,) = generate_groups(vlm._model, [Group(rows, vision, range(6))], **settings)
    assert together == alone
    # The prefix, the two questions, and then as many rows as there are different beginnings.
    beginnings = [len({(i == 5, *reply[:n]) for i, reply in enumerate(alone)}) for n in range(1, 10)]
    assert widths == [1, 2, *beginnings]
    assert 2 <= beginnings[0] < 6
    assert beginnings[-1] > 2


@pytest.mark.parametrize(("top_p", "tokens"), [(1.0, {0, 1, 3}), (0.9, {1, 3}), (0.5, {3})])
def test_tokens_are_drawn_as_often_as_they_are_likely(top_p, tokens):
    from scene_r1_cli.models.shared_prefix import Sampler

    shares = torch.tensor([0.05, 0.3, 0.0, 0.65])
    sampler = Sampler(SamplingConfig(temperature=1.0, top_p=top_p), range(4))
    drawn = torch.cat([sampler(shares.log().expand(4, -1), range(4)) for _ in range(1000)])
    counts = torch.bincount(drawn, minlength=4) / len(drawn)
    expected = torch.where(torch.tensor([place in tokens for place in range(4)]), shares, 0.0)
    torch.testing.assert_close(counts, expected / expected.sum(), atol=0.03, rtol=0)
    assert set(drawn.tolist()) == tokens


def test_a_token_can_be_kept_out(vlm):
    from scene_r1_cli.models.shared_prefix import Group, generate_groups

    prefix = make_prefix(vlm)
    rows, vision = vlm.encode_shared(prefix, [vlm.render(prefix, question) for question in QUESTIONS])
    settings = {"eos_ids": vlm._eos_ids, "max_new_tokens": 6, "sampling": SamplingConfig()}
    (free,) = generate_groups(vlm._model, [Group(rows, vision, [0] * len(rows))], **settings)
    never = [reply[0] for reply in free]
    (kept,) = generate_groups(vlm._model, [Group(rows, vision, [0] * len(rows))], **settings, never=never)
    assert not set(never) & {token for reply in kept for token in reply}


def test_many_scores_are_computed_in_parts(vlm, monkeypatch):
    from scene_r1_cli.models import prefix_attention

    prefix = make_prefix(vlm)
    whole = vlm.generate(prefix, QUESTIONS, max_new_tokens=8)
    monkeypatch.setattr(prefix_attention, "MAX_SCORES", 1)
    assert vlm.generate(prefix, QUESTIONS, max_new_tokens=8) == whole


def test_logits_behind_a_shared_prefix_are_those_of_one_pass(vlm, monkeypatch):
    """Positions and mask are right, not only the winning token."""
    from scene_r1_cli.models import shared_prefix

    seen = []

    class Watching(shared_prefix.Sampler):
        def __call__(self, logits, rows):
            seen.append(logits.clone())
            return super().__call__(logits, rows)

    monkeypatch.setattr(shared_prefix, "Sampler", Watching)
    prefix = make_prefix(vlm)
    vlm.generate(prefix, QUESTIONS, max_new_tokens=1)
    for row, question in enumerate(QUESTIONS):
        inputs = vlm._encode([vlm.render(prefix, question)], [prefix])
        with torch.inference_mode():
            whole = vlm._model(**inputs).logits[0, -1]
        torch.testing.assert_close(seen[0][row], whole, rtol=1e-4, atol=1e-4)


def test_replies_depend_on_the_frames(vlm):
    one = vlm.generate(make_prefix(vlm, seed=0), QUESTIONS, max_new_tokens=16)
    other = vlm.generate(make_prefix(vlm, seed=1), QUESTIONS, max_new_tokens=16)
    assert one != other


def test_no_question_gives_no_reply(vlm):
    assert vlm.generate(make_prefix(vlm), [], max_new_tokens=4) == []


def test_a_reply_that_ends_says_stop_and_one_that_is_cut_says_length(vlm, monkeypatch):
    prefix = make_prefix(vlm, num_frames=1)
    cut = vlm.generate(prefix, ["Where?"], max_new_tokens=1)[0]
    first_token = vlm._processor.tokenizer(cut.text, add_special_tokens=False)["input_ids"]
    assert (cut.num_new_tokens, cut.finish_reason) == (1, "length")
    if len(first_token) != 1:
        pytest.skip("the first token is no whole character")
    monkeypatch.setattr(vlm._model.generation_config, "eos_token_id", first_token)
    ended = vlm.generate(prefix, ["Where?"], max_new_tokens=8)[0]
    assert (ended.num_new_tokens, ended.finish_reason, ended.text) == (1, "stop", cut.text)


def test_sampling_repeats_with_its_seed_and_differs_with_another(vlm):
    prefix = make_prefix(vlm)

    def texts(seed, questions=QUESTIONS, temperature=1.0, top_p=1.0):
        sampling = SamplingConfig(temperature=temperature, top_p=top_p, seed=seed)
        return [r.text for r in vlm.generate(prefix, questions, max_new_tokens=12, sampling=sampling)]

    assert texts(0) == texts(0)
    assert texts(0) != texts(1)
    assert texts(0)[0] == texts(0, QUESTIONS[:1])[0]  # the others do not matter
    greedy = [reply.text for reply in vlm.generate(prefix, QUESTIONS, max_new_tokens=12)]
    assert texts(0, top_p=1e-6) == greedy


@pytest.mark.parametrize("shares", [True, False])
def test_what_is_drawn_for_a_question_does_not_depend_on_the_others(vlm, shares):
    asked, prefix = vlm if shares else without_sharing(vlm), make_prefix(vlm, num_frames=1)

    def texts(questions):
        settings = {"max_new_tokens": 12, "sampling": SamplingConfig(temperature=1.0)}
        return [reply.text for reply in asked.generate(prefix, questions, **settings)]

    first, second = QUESTIONS[:2]
    assert texts([first] * 2 + [second] * 2)[2:] == texts([second] * 2)


def test_each_question_and_each_of_its_replies_has_random_numbers_of_its_own():
    from scene_r1_cli.models.transformers_vlm import _seeds

    drawn = _seeds(["a", "b", "a"], 0)
    assert len({*drawn, *_seeds(["a", "b", "a"], 1)}) == 6
    assert drawn == [_seeds(["a"], 0)[0], _seeds(["b"], 0)[0], _seeds(["a", "a"], 0)[1]]


def test_the_loaded_sampling_is_the_default(tiny_vlm_folder):
    sampling = SamplingConfig(temperature=1.0, seed=3)
    vlm = load(tiny_vlm_folder("qwen2.5-vl"), sampling=sampling)
    prefix = make_prefix(vlm, num_frames=1)
    default = vlm.generate(prefix, ["x"], max_new_tokens=8)
    assert default == vlm.generate(prefix, ["x"], max_new_tokens=8, sampling=sampling)
    assert default != vlm.generate(prefix, ["x"], max_new_tokens=8, sampling=SamplingConfig())


def test_with_the_real_qwen_tokenizer(tmp_path):
    """Times, tags and questions survive the vocabulary that published checkpoints use."""
    import importlib.util
    from pathlib import Path

    spec = importlib.util.find_spec("dashscope")
    if spec is None or spec.origin is None:
        pytest.skip("the package dashscope, which holds Qwen's vocabulary, is not installed")
    tokenizer = qwen_tokenizer(Path(spec.origin).parent / "resources" / "qwen.tiktoken")
    ids = {"<|im_start|>": 151644, "<|im_end|>": 151645, "<|vision_start|>": 151652, "<|image_pad|>": 151655}
    assert {token: tokenizer.convert_tokens_to_ids(token) for token in ids} == ids
    assert tokenizer("Hello world")["input_ids"] == [9707, 1879]

    vlm = load(save_tiny_vlm(tmp_path / "m", "qwen2.5-vl", tokenizer=tokenizer))
    prefix = make_prefix(vlm)
    texts = [vlm.render(prefix, question) for question in QUESTIONS]
    rows, _ = vlm.encode_shared(prefix, texts)
    for row, text in zip(rows, texts, strict=True):
        assert row == vlm._encode([text], [prefix])["input_ids"][0].tolist()
    replies = vlm.generate(prefix, QUESTIONS, max_new_tokens=8)
    assert replies == without_sharing(vlm).generate(prefix, QUESTIONS, max_new_tokens=8)


@pytest.mark.parametrize(("family", "template"), [("qwen2.5-vl", "qwen2_5_vl"), ("qwen3-vl", "qwen3_vl")])
def test_with_the_published_chat_templates(family, template, tiny_vlm_folder):
    """TRL ships the templates of the published checkpoints; frames and times come out in the same order."""
    from pathlib import Path

    trl = pytest.importorskip("trl", reason="trl, which ships the templates, is not installed")
    vlm = load(tiny_vlm_folder(family))
    path = Path(trl.__file__).parent / "chat_templates" / f"{template}.jinja"
    vlm._processor.chat_template = path.read_text(encoding="utf-8")
    prefix = make_prefix(vlm, num_frames=2)
    frame = "<|vision_start|><|image_pad|><|vision_end|>"
    asked = f"<|im_start|>user\n<0.0 seconds>{frame}<2.5 seconds>{frame}When?<|im_end|>\n"
    assert vlm.render(prefix, "When?").endswith(asked + "<|im_start|>assistant\n")
    assert len(vlm.generate(prefix, ["When?"], max_new_tokens=4)) == 1


def save_tiny_llava(folder):
    """A checkpoint of another architecture: no image grid, no shared prefix."""
    from transformers import (
        AutoModelForImageTextToText,
        CLIPImageProcessor,
        GenerationConfig,
        LlavaConfig,
        LlavaProcessor,
    )

    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    end, image = tokenizer.get_vocab()["<|im_end|>"], tokenizer.get_vocab()["<image>"]
    sizes = {"intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = {"model_type": "clip_vision_model", "hidden_size": 32, "image_size": 56, "patch_size": 14}
    text = {"model_type": "llama", "hidden_size": 32, "vocab_size": len(tokenizer), "initializer_range": 0.2}
    config = LlavaConfig(vision_config=vision | sizes, text_config=text | sizes, image_token_index=image)
    model = AutoModelForImageTextToText.from_config(config)
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=end)
    model.save_pretrained(folder)
    LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}),
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE.replace("<|vision_start|><|image_pad|><|vision_end|>", "<image>"),
    ).save_pretrained(folder)
    return folder


def test_another_architecture_answers_in_batches_too(tmp_path):
    folder = save_tiny_llava(tmp_path / "llava")
    with pytest.raises(ConfigError, match="llava model writes is not known"):
        load(folder)
    vlm = load(folder, family="qwen2-vl")
    prefix = make_prefix(vlm)
    batch = vlm.generate(prefix, QUESTIONS, max_new_tokens=8)
    assert batch == [vlm.generate(prefix, [question], max_new_tokens=8)[0] for question in QUESTIONS]
