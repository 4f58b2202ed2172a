"""A tiny model behind a real ``transformers serve`` on loopback answers as the same model loaded here."""

import base64
import io
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scene_r1_cli.config import ModelConfig
from scene_r1_cli.errors import SetupError
from scene_r1_cli.models.endpoint import data_url
from scene_r1_cli.models.provider import load_vlm
from scene_r1_cli.models.vlm import VideoPrefix

pytestmark = pytest.mark.integration

START_LIMIT_S = 120


@pytest.fixture(scope="module")
def served(tiny_vlm_folder, tmp_path_factory):
    """(base URL, model name) of a running server."""
    folder = tiny_vlm_folder("qwen2.5-vl")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "transformers"), "serve", str(folder)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    log_path = tmp_path_factory.mktemp("serve") / "log.txt"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with log_path.open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        _wait_for(port, process, log_path)
        yield f"http://127.0.0.1:{port}/v1", str(folder)
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_for(port, process, log_path):
    for _ in range(START_LIMIT_S * 5):
        if process.poll() is not None:
            pytest.fail(f"transformers serve ended: {log_path.read_text()[-2000:]}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    pytest.fail(f"transformers serve did not start: {log_path.read_text()[-2000:]}")


def plain(text):
    """A reply without what a server may keep or trim: control tokens and outer blanks."""
    return re.sub(r"<\|[a-z_]+\|>", "", text).strip()


def test_served_and_local_model_agree(served):
    url, name = served
    endpoint = load_vlm(ModelConfig(endpoint=url, name=name, family="qwen2.5-vl"))
    local = load_vlm(ModelConfig(name=name, device="cpu"))
    assert endpoint.model_size_wh((640, 480), 320) == local.model_size_wh((640, 480), 320)

    width, height = endpoint.model_size_wh((640, 480), 320)
    frames_rgb = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    times_s = np.array([0.0, 2.5, 5.0])
    # The server sees frames through JPEG; show the local model the very same pixels.
    jpegs = [io.BytesIO(base64.b64decode(data_url(frame).partition(",")[2])) for frame in frames_rgb]
    received_rgb = np.stack([np.asarray(Image.open(jpeg)) for jpeg in jpegs])

    questions = ["Where is the red chair?", "How many lamps?", "Is it dark?", "Which door is open?"]
    over_there = endpoint.generate(VideoPrefix(frames_rgb, times_s), questions, max_new_tokens=16)
    here = local.generate(VideoPrefix(received_rgb, times_s), questions, max_new_tokens=16)
    for theirs, ours in zip(over_there, here, strict=True):
        assert theirs.num_prompt_tokens == ours.num_prompt_tokens  # so no image was resized
        assert theirs.num_new_tokens == ours.num_new_tokens
        assert theirs.finish_reason == ours.finish_reason
        assert plain(theirs.text) == plain(ours.text)


def test_another_model_is_not_served(served):
    url, _ = served
    with pytest.raises(SetupError, match="does not serve 'qwen3-vl-nowhere'"):
        load_vlm(ModelConfig(endpoint=url, name="qwen3-vl-nowhere"))


def test_a_port_without_a_server_is_out_of_reach():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(SetupError, match="cannot be reached"):
        load_vlm(ModelConfig(endpoint=f"http://127.0.0.1:{port}", name="qwen3-vl"))
