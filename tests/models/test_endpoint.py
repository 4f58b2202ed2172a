"""A served model through a stand-in for the network: what is sent, what is retried, what is said."""

import base64
import json
import logging
import threading

import cv2
import httpx
import numpy as np
import pytest

from scene_r1_cli.config import ModelConfig, SamplingConfig
from scene_r1_cli.errors import ConfigError, SetupError
from scene_r1_cli.models.endpoint import EndpointVLM
from scene_r1_cli.models.vlm import Reply, VideoPrefix

NAME = "Qwen/Qwen2.5-VL-7B-Instruct"
KEY = "sk-very-secret-0123456789"
MODELS = {"object": "list", "data": [{"id": NAME}, {"id": "other"}]}


def completion(text: str | None = "hello", finish_reason="stop", **message):
    return {
        "choices": [{"message": {"content": text, **message}, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 50, "completion_tokens": 7},
    }


class Server:
    """Answers chats with prepared responses in turn (the last one for ever), and keeps the requests."""

    def __init__(self, *chat, models=None):
        self.chat = list(chat) or [completion()]
        self.models = models if models is not None else httpx.Response(200, json=MODELS)
        self.requests = []
        self.pauses_s = []

    def __call__(self, request):
        if request.url.path.endswith("/models"):
            return self.models
        self.requests.append(request)
        answer = self.chat.pop(0) if len(self.chat) > 1 else self.chat[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    def connect(self, **settings):
        config = ModelConfig(**{"endpoint": "http://gpu1:8000/v1", "name": NAME, **settings})
        return EndpointVLM.connect(config, httpx.MockTransport(self), sleep=self.pauses_s.append)

    @property
    def bodies(self):
        return [json.loads(request.content) for request in self.requests]


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv("SCENER1_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def prefix(num_frames=2):
    frames_rgb = np.zeros((num_frames, 56, 84, 3), dtype=np.uint8)
    frames_rgb[..., 0] = 200
    return VideoPrefix(frames_rgb, np.arange(num_frames) * 1.5)


def test_what_is_sent():
    server = Server()
    vlm = server.connect(sampling=SamplingConfig(temperature=0.5, top_p=0.9, seed=3))
    assert vlm.generate(prefix(), ["Where is it?"], max_new_tokens=64) == [Reply("hello", "stop", 50, 7)]
    body = server.bodies[0]
    content = body.pop("messages")[0]["content"]
    assert body == {
        "model": NAME,
        "max_tokens": 64,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 3,
        "frequency_penalty": 0.0,
    }
    texts = [part.get("text", "frame") for part in content]
    assert texts == ["<0.0 seconds>", "frame", "<1.5 seconds>", "frame", "Where is it?"]
    assert server.requests[0].url == "http://gpu1:8000/v1/chat/completions"
    assert "authorization" not in server.requests[0].headers


def test_frames_are_sent_at_their_size_and_colour():
    server = Server()
    server.connect().generate(prefix(), ["Where?"], max_new_tokens=4)
    url = server.bodies[0]["messages"][0]["content"][1]["image_url"]["url"]
    kind, _, data = url.partition(";base64,")
    image_bgr = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert kind == "data:image/jpeg"
    assert image_bgr is not None
    assert image_bgr.shape == (56, 84, 3)
    np.testing.assert_allclose(image_bgr[20, 20], [0, 0, 200], atol=3)


def test_each_question_is_one_request_behind_the_same_frames():
    server = Server(completion("a"), completion("b"))
    replies = server.connect().generate(prefix(), ["one?", "two?"], max_new_tokens=4)
    assert [reply.text for reply in replies] == ["a", "b"]
    first, second = (body["messages"][0]["content"] for body in server.bodies)
    assert first[:-1] == second[:-1]
    assert (first[-1]["text"], second[-1]["text"]) == ("one?", "two?")


def test_each_time_a_question_is_asked_has_a_seed_of_its_own():
    server = Server()
    sampling = SamplingConfig(temperature=0.5, seed=3)
    server.connect().generate(prefix(), ["a", "a", "b", "a", "b"], max_new_tokens=4, sampling=sampling)
    asked = [(body["messages"][0]["content"][-1]["text"], body["seed"]) for body in server.bodies]
    assert sorted(asked) == [("a", 3), ("a", 4), ("a", 5), ("b", 3), ("b", 4)]


def test_the_first_request_fills_the_prefix_cache_and_the_others_follow_a_few_at_a_time():
    """The barrier opens only for two requests that are under way together."""
    together, lock = threading.Barrier(2, timeout=20), threading.Lock()
    under_way, most, done = set(), [], []

    def serve(request):
        if request.url.path.endswith("/models"):
            return httpx.Response(200, json=MODELS)
        question = json.loads(request.content)["messages"][0]["content"][-1]["text"]
        with lock:
            assert question == "0" or "0" in done
            under_way.add(question)
            most.append(len(under_way))
        if question != "0":
            together.wait()
        with lock:
            under_way.remove(question)
            done.append(question)
        return httpx.Response(200, json=completion(f"re {question}"))

    config = ModelConfig(endpoint="http://gpu1:8000/v1", name=NAME, endpoint_concurrency=2)
    vlm = EndpointVLM.connect(config, httpx.MockTransport(serve))
    replies = vlm.generate(prefix(), list("01234"), max_new_tokens=4)
    assert [reply.text for reply in replies] == [f"re {n}" for n in range(5)]
    assert max(most) == 2


def test_one_of_many_questions_refused_is_told():
    server = Server(completion("a"), completion("b"), httpx.Response(400, text="too long"))
    with pytest.raises(SetupError, match="HTTP 400: too long"):
        server.connect().generate(prefix(), list("0123456789"), max_new_tokens=4)


def test_size_is_that_of_the_family():
    assert Server().connect().model_size_wh((640, 480), 448) == (448, 336)
    assert Server().connect(family="qwen3-vl").model_size_wh((640, 480), 448) == (448, 320)


REPLIES = [
    (completion("a", "length"), Reply("a", "length", 50, 7)),
    (completion(None), Reply("", "stop", 50, 7)),
    (completion("b", reasoning_content="hm"), Reply("<think>hm</think>b", "stop", 50, 7)),
    ({"choices": [{"message": {"content": "c"}}]}, Reply("c", "stop", None, None)),
]


@pytest.mark.parametrize(("answer", "reply"), REPLIES)
def test_replies(answer, reply):
    assert Server(answer).connect().generate(prefix(), ["?"], max_new_tokens=4) == [reply]


BUSY = [
    (httpx.Response(429), [1.0]),
    (httpx.Response(429, headers={"retry-after": "7"}), [7.0]),
    (httpx.Response(429, headers={"retry-after": "99999"}), [30.0]),
    (httpx.Response(429, headers={"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}), [1.0]),
    (httpx.Response(500), [1.0]),
    (httpx.Response(503, text="starting"), [1.0]),
    (httpx.ReadTimeout("slow"), [1.0]),
    (httpx.ConnectError("refused"), [1.0]),
    (httpx.RemoteProtocolError("gone"), [1.0]),
]


@pytest.mark.parametrize(("problem", "pauses_s"), BUSY, ids=range(len(BUSY)))
def test_a_passing_problem_is_asked_again_after_a_pause(problem, pauses_s):
    server = Server(problem, completion("ok"))
    assert server.connect().generate(prefix(), ["?"], max_new_tokens=4)[0].text == "ok"
    assert server.pauses_s == pauses_s


def test_pauses_grow_and_end():
    server = Server(httpx.Response(503, json={"error": {"message": "loading\nthe model."}}))
    with pytest.raises(SetupError, match=r"answered HTTP 503: loading the model\.$"):
        server.connect(endpoint_retries=3).generate(prefix(), ["?"], max_new_tokens=4)
    assert server.pauses_s == [1.0, 2.0, 4.0]
    assert len(server.requests) == 4


def test_a_timeout_that_stays():
    server = Server(httpx.ReadTimeout("slow"))
    with pytest.raises(SetupError, match="did not answer in time") as error:
        server.connect(endpoint_retries=1).generate(prefix(), ["?"], max_new_tokens=4)
    assert "endpoint_timeout_s" in error.value.hint


REFUSED = [
    (httpx.Response(400, json={"error": {"message": "maximum context length is 4096"}}), "maximum context"),
    (httpx.Response(422, json={"detail": "no images"}), "HTTP 422: no images"),
    (httpx.Response(401, json={"error": "bad key"}), "refuses the key"),
    (httpx.Response(404, text="gone"), f"does not serve '{NAME}'; it serves {NAME}, other"),
    (httpx.Response(200, text="<html>"), "no chat completion"),
    (httpx.Response(200, json={"choices": []}), "no chat completion"),
    (httpx.Response(200, json=["a"]), "no chat completion"),
    (httpx.Response(418, text="x" * 5000), "HTTP 418: xxx"),
]


@pytest.mark.parametrize(("response", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_will_not_pass_is_said_at_once(response, message):
    server = Server(response)
    with pytest.raises(SetupError) as error:
        server.connect().generate(prefix(), ["?"], max_new_tokens=4)
    assert message in error.value.message
    assert len(error.value.message) < 500
    assert error.value.exit_code == 4
    assert server.pauses_s == []


def test_a_server_that_is_not_there():
    def refuse(request):
        raise httpx.ConnectError("refused")

    config = ModelConfig(endpoint="http://gpu1:8000/v1", name=NAME)
    with pytest.raises(SetupError, match="http://gpu1:8000/v1 cannot be reached") as error:
        EndpointVLM.connect(config, httpx.MockTransport(refuse))
    assert error.value.exit_code == 4


def test_a_refused_key_is_told_when_connecting():
    with pytest.raises(SetupError, match=r"refuses the key \(HTTP 401\)") as error:
        Server(models=httpx.Response(401)).connect()
    assert "SCENER1_API_KEY" in error.value.hint


def test_a_model_that_is_not_listed_is_tried_before_it_is_refused():
    """Some servers list other models than they serve."""
    assert Server().connect(name="qwen3-vl-local").name == "qwen3-vl-local"
    server = Server(httpx.Response(404, json={"error": "no such model"}))
    with pytest.raises(SetupError, match=f"does not serve 'qwen3-vl-mine'; it serves {NAME}, other"):
        server.connect(name="qwen3-vl-mine")
    assert server.bodies[0]["max_tokens"] == 1


@pytest.mark.parametrize("models", [httpx.Response(500, text="Internal Server Error"), httpx.Response(404)])
def test_a_server_without_a_list(models):
    assert Server(models=models).connect().name == NAME


def test_without_a_name_the_only_model_is_taken():
    only = httpx.Response(200, json={"data": [{"id": NAME}]})
    assert Server(models=only).connect(name="").name == NAME
    with pytest.raises(ConfigError, match=f"serves {NAME}, other"):
        Server().connect(name="")


def test_a_name_without_a_family_asks_for_it():
    with pytest.raises(ConfigError, match="'other' does not tell") as error:
        Server().connect(name="other")
    assert "model.family" in error.value.hint
    assert Server().connect(name="other", family="qwen3-vl").family.name == "qwen3-vl"


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://gpu1:8000", "http://gpu1:8000/v1/chat/completions"),
        ("http://gpu1:8000/", "http://gpu1:8000/v1/chat/completions"),
        ("https://host/api/openai/v1/", "https://host/api/openai/v1/chat/completions"),
    ],
)
def test_urls(endpoint, url):
    server = Server()
    server.connect(endpoint=endpoint).generate(prefix(), ["?"], max_new_tokens=4)
    assert server.requests[0].url == url


@pytest.mark.parametrize(
    "endpoint", ["localhost", "localhost:8000", "", "ftp://host", "http://", "http://host:port"]
)
def test_what_is_no_url(endpoint):
    with pytest.raises(ConfigError, match="is no URL"):
        Server().connect(endpoint=endpoint)


def chain_text(error):
    texts = []
    while error is not None:
        texts += [str(error), repr(error), repr(vars(error))]
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


@pytest.mark.parametrize("variable", ["SCENER1_API_KEY", "OPENAI_API_KEY"])
@pytest.mark.parametrize(
    "problem", [httpx.Response(401), httpx.Response(500, text="no"), httpx.ReadTimeout("slow")], ids=range(3)
)
def test_the_key_is_sent_and_shown_nowhere(variable, problem, monkeypatch, caplog):
    monkeypatch.setenv(variable, f"{KEY}\n")
    caplog.set_level(logging.DEBUG)
    server = Server(problem)
    vlm = server.connect()
    with pytest.raises(SetupError) as error:
        vlm.generate(prefix(), ["?"], max_new_tokens=4)
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in chain_text(error.value)
    assert KEY not in caplog.text
    assert KEY not in repr(vlm) + repr(vars(vlm))


def test_our_own_key_comes_before_openais(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "theirs")
    monkeypatch.setenv("SCENER1_API_KEY", "ours")
    server = Server()
    server.connect().generate(prefix(), ["?"], max_new_tokens=4)
    assert server.requests[0].headers["authorization"] == "Bearer ours"


def test_a_key_that_cannot_be_sent_is_not_shown(monkeypatch):
    monkeypatch.setenv("SCENER1_API_KEY", "schlüssel")
    with pytest.raises(SetupError, match="SCENER1_API_KEY holds characters") as error:
        Server().connect()
    assert "schlüssel" not in chain_text(error.value)


def test_a_password_in_the_url_is_not_shown():
    server = Server(httpx.Response(400, text="no"))
    vlm = server.connect(endpoint="http://me:hunter2@gpu1:8000/v1")
    with pytest.raises(SetupError, match="http://gpu1:8000/v1") as error:
        vlm.generate(prefix(), ["?"], max_new_tokens=4)
    assert "hunter2" not in error.value.message
