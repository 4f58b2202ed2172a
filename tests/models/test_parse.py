"""Replies and what they say, as rows a reader checks by hand."""

import pytest

from scene_r1_cli.models.parse import (
    AnswerReply,
    BoxesReply,
    BoxReply,
    ParseFailure,
    SpanReply,
    parse_answer,
    parse_boxes,
    parse_span,
    parse_think,
)


def answered(body):
    return f"<think>I look at the frames.</think>\n<answer>{body}</answer>"


SPANS = [
    # body of the answer, start, end
    ("5s to 10s", 5, 10),
    ("5.0s to 10.0s", 5, 10),
    ("5.0 to 10.0", 5, 10),
    ("3s to 9s", 3, 9),
    ("0 to 0.5", 0, 0.5),
    ("[5, 10]", 5, 10),
    ("[3,9]", 3, 9),
    ("(5.25, 10.75)", 5.25, 10.75),
    ("00:05 to 00:10", 5, 10),
    ("01:05 - 01:30.5", 65, 90.5),
    ("1:00:01 to 1:00:02", 3601, 3602),
    ("5 - 10", 5, 10),
    ("5-10s", 5, 10),
    ("5s–10s", 5, 10),
    ("5 seconds to 10 seconds", 5, 10),
    ("5 sec to 10 sec.", 5, 10),
    ("<5.0 seconds> to <10.0 seconds>", 5, 10),
    ("from 5s to 10s", 5, 10),
    ("between 5 and 10 seconds", 5, 10),
    ("From 5.0 s\nto 10.0 s", 5, 10),
    ("**5s to 10s**", 5, 10),
    ("`5s to 10s`", 5, 10),
    ("5S TO 10S", 5, 10),
    ("5, 10", 5, 10),
    ("-1s to 4s", -1, 4),
    ("  5s   to   10s  ", 5, 10),
]


@pytest.mark.parametrize(("body", "start_s", "end_s"), SPANS)
def test_span_forms(body, start_s, end_s):
    assert parse_span(answered(body)) == SpanReply(start_s, end_s)


@pytest.mark.parametrize(
    ("body", "start_s", "end_s"), [("10s to 5s", 5, 10), ("[9, 3]", 3, 9), ("00:10 to 00:05", 5, 10)]
)
def test_reversed_spans_are_swapped_and_marked(body, start_s, end_s):
    assert parse_span(answered(body)) == SpanReply(start_s, end_s, was_reversed=True)


def test_a_span_without_length_is_a_moment():
    span = parse_span(answered("5s to 5.0s"))
    assert span == SpanReply(5, 5)
    assert isinstance(span, SpanReply)
    assert span.is_moment


NO_SPANS = [
    # whole reply, code
    ("", "no_answer"),
    ("   \n", "no_answer"),
    ("<think>I am not done thinking about 5s to 10s", "no_answer"),
    ("<think>It is <answer>5s to 10s</answer> or so</think>", "no_answer"),
    ("<answer></answer>", "empty"),
    ("<answer>  \n </answer>", "empty"),
    ("<think>a</think><answer>5s to 10", "unclosed_answer"),
    ("<answer>5s to 10s</answer> no wait <answer>7s to", "unclosed_answer"),
    ("<answer>5s to 10s<answer>", "unclosed_answer"),
    (answered("never"), "not_a_span"),
    (answered("5s"), "not_a_span"),
    (answered("5s to"), "not_a_span"),
    (answered("frames 5 to 10"), "not_a_span"),
    (answered("frame 5 to frame 10"), "not_a_span"),
    (answered("5 minutes to 10 minutes"), "not_a_span"),
    (answered("5s to 10s and 20s to 30s"), "not_a_span"),
    (answered("5s to 10s, 20s to 30s"), "not_a_span"),
    (answered("[5, 10, 15]"), "not_a_span"),
    (answered("STARTs to ENDs"), "not_a_span"),
    (answered("00:75 to 00:80"), "not_a_span"),
    (answered("nan to inf"), "not_a_span"),
    (answered("1e3 to 2e3"), "not_a_span"),
    (answered("５ to １０"), "not_a_span"),
    (answered("٥ to ١٠"), "not_a_span"),
    (answered("пять to десять"), "not_a_span"),
    (answered("🪑"), "not_a_span"),
    (answered('{"bbox_2d": [1, 2, 3, 4]}'), "not_a_span"),
    (answered("123456789012 to 3"), "not_a_span"),
    ("The chair is in view from 5s to 10s, I think.", "no_answer"),
]


@pytest.mark.parametrize(("reply", "code"), NO_SPANS)
def test_replies_without_a_span(reply, code):
    failure = parse_span(reply)
    assert isinstance(failure, ParseFailure)
    assert failure.code == code


WHICH_ANSWER = [
    # the last block outside thinking counts
    ("<answer>1s to 2s</answer><answer>5s to 10s</answer>", SpanReply(5, 10)),
    ("<think>maybe <answer>1s to 2s</answer></think><answer>5s to 10s</answer>", SpanReply(5, 10)),
    ("<think>a <think>b</think> c</think><answer>5s to 10s</answer>", SpanReply(5, 10)),
    ("<answer><answer>5s to 10s</answer></answer>", SpanReply(5, 10)),
    ("<think>I never stop <answer>5s to 10s</answer>", SpanReply(5, 10)),
    ("thinking opened in the prompt</think><answer>5s to 10s</answer>", SpanReply(5, 10)),
    ("<THINK>x</THINK><Answer>5s to 10s</ANSWER>", SpanReply(5, 10)),
    ("<answer>5s to 10s</answer> Is there more to say?", SpanReply(5, 10)),
    ("İİİ<answer>5s to 10s</answer>", SpanReply(5, 10)),
    # a reply without tags counts if it is nothing but the answer
    ("5s to 10s", SpanReply(5, 10)),
    ("<think>x</think> 5s to 10s", SpanReply(5, 10)),
]


@pytest.mark.parametrize(("reply", "span"), WHICH_ANSWER)
def test_which_block_is_the_answer(reply, span):
    assert parse_span(reply) == span


BOXES = [
    # body of the answer, boxes as (corners, label)
    ('{"bbox_2d": [10, 20, 110, 220], "label": "chair"}', [((10, 20, 110, 220), "chair")]),
    ('{"label": "chair", "bbox_2d": [10, 20, 110, 220]}', [((10, 20, 110, 220), "chair")]),
    ('{"bbox_2d": [10.5, 20.25, 110, 220]}', [((10.5, 20.25, 110, 220), "")]),
    ('{"bbox_2d": [-5, -1.5, 110, 220]}', [((-5, -1.5, 110, 220), "")]),
    ('{"bbox_2d": [1, 2, 99999, 4]}', [((1, 2, 99999, 4), "")]),
    ('[{"bbox_2d": [1, 2, 3, 4], "label": "a"}]', [((1, 2, 3, 4), "a")]),
    (
        '[{"bbox_2d": [1, 2, 3, 4], "label": "a"}, {"bbox_2d": [5, 6, 7, 8], "label": "b"}]',
        [((1, 2, 3, 4), "a"), ((5, 6, 7, 8), "b")],
    ),
    ('{"bbox_2d": [[1, 2, 3, 4], [5, 6, 7, 8]], "label": "a"}', [((1, 2, 3, 4), "a"), ((5, 6, 7, 8), "a")]),
    ("[[1, 2, 3, 4], [5, 6, 7, 8]]", [((1, 2, 3, 4), ""), ((5, 6, 7, 8), "")]),
    ("[1, 2, 3, 4]", [((1, 2, 3, 4), "")]),
    ('```json\n{"bbox_2d": [1, 2, 3, 4]}\n```', [((1, 2, 3, 4), "")]),
    ('```\n[{"bbox_2d": [1, 2, 3, 4]}]\n```', [((1, 2, 3, 4), "")]),
    ('The box is {"bbox_2d": [1, 2, 3, 4]}.', [((1, 2, 3, 4), "")]),
    ('{"bbox_2d": [1, 2, 3, 4], "label": null}', [((1, 2, 3, 4), "")]),
    ('{"bbox_2d": [1, 2, 3, 4], "label": "стул 🪑"}', [((1, 2, 3, 4), "стул 🪑")]),
    ('{"bbox_2d": [1, 2, 3, 4], "score": 0.9}', [((1, 2, 3, 4), "")]),
    ('{"bbox_2d": [7, 7, 7, 7]}', [((7, 7, 7, 7), "")]),
    ('{"bbox_2d": null}', []),
    ('{"bbox_2d": null, "label": "chair"}', []),
    ('{"bbox_2d": []}', []),
    ('[{"bbox_2d": null}]', []),
    ("[]", []),
    ("null", []),
]


@pytest.mark.parametrize(("body", "boxes"), BOXES)
def test_box_forms(body, boxes):
    expected = BoxesReply(tuple(BoxReply(corners, label) for corners, label in boxes))
    assert parse_boxes(answered(body)) == expected


def test_reversed_corners_are_swapped_and_marked():
    assert parse_boxes(answered("[110, 20, 10, 220]")) == BoxesReply(
        (BoxReply((10, 20, 110, 220), was_reversed=True),)
    )


NO_BOXES = [
    # whole reply, code
    ("", "no_answer"),
    (answered(""), "empty"),
    ("<answer>[1, 2, 3, 4]", "unclosed_answer"),
    (answered("the chair"), "not_json"),
    (answered('{"bbox_2d": [10, 20, 110, 22'), "not_json"),
    (answered('{"bbox_2d": [10, 20, 110, 220], "label": "cha'), "not_json"),
    (answered('[{"bbox_2d": [1, 2, 3, 4]}, {"bbox_2d": [5, 6'), "not_json"),
    (answered('{"bbox_2d": [x1, y1, x2, y2], "label": "its name"}'), "not_json"),
    (answered("{'bbox_2d': [1, 2, 3, 4]}"), "not_json"),
    (answered('{"bbox_2d": [1, 2, 3, 4]} or {"bbox_2d": [5, 6, 7, 8]}'), "not_json"),
    (answered("[" * 10_000), "not_json"),
    (answered('{"bbox_2d":' * 5_000), "not_json"),
    (answered("[" * 400 + "]" * 400), "not_boxes"),
    (answered('{"bbox_2d":' * 400 + "1" + "}" * 400), "not_boxes"),
    (answered('{"bbox_2d": [1, 2, 3]}'), "not_boxes"),
    (answered('{"bbox_2d": [1, 2, 3, 4, 5]}'), "not_boxes"),
    (answered('{"bbox_2d": ["1", "2", "3", "4"]}'), "not_boxes"),
    (answered('{"bbox_2d": [1, 2, 3, true]}'), "not_boxes"),
    (answered('{"bbox_2d": [1, 2, NaN, 4]}'), "not_boxes"),
    (answered('{"bbox_2d": [1, 2, Infinity, 4]}'), "not_boxes"),
    (answered('{"bbox_2d": [1, 2, 3, 1' + "0" * 400 + "]}"), "not_boxes"),
    (answered('{"bbox_2d": [1, 2, 3, 1' + "0" * 5000 + "]}"), "not_json"),
    (answered('{"bbox_2d": "left"}'), "not_boxes"),
    (answered('{"bbox_2d": {"x1": 1}}'), "not_boxes"),
    (answered('{"box": [1, 2, 3, 4]}'), "not_boxes"),
    (answered('[{"bbox_2d": [1, 2, 3, 4]}, 5]'), "not_boxes"),
    (answered("[[1, 2, 3, 4], [5, 6]]"), "not_boxes"),
    (answered("[null]"), "not_boxes"),
    (answered("5s to 10s"), "not_json"),
    ('I see {"bbox_2d": [1, 2, 3, 4]}', "no_answer"),
    ('{"bbox_2d": [1, 2, 3, 4]} is the chair', "no_answer"),
    ("I cannot see it.", "no_answer"),
]


@pytest.mark.parametrize(("reply", "code"), NO_BOXES, ids=range(len(NO_BOXES)))
def test_replies_without_boxes(reply, code):
    failure = parse_boxes(reply)
    assert isinstance(failure, ParseFailure)
    assert failure.code == code


@pytest.mark.parametrize(
    "reply",
    ['{"bbox_2d": [1, 2, 3, 4]}', '```json\n{"bbox_2d": [1, 2, 3, 4]}\n```', "<think>x</think>[1,2,3,4]"],
)
def test_boxes_without_tags(reply):
    assert parse_boxes(reply) == BoxesReply((BoxReply((1, 2, 3, 4)),))


ANSWERS = [
    ("<think>two by the door, one more</think><answer>3</answer>", "3"),
    ("<answer> the red one\n</answer>", "the red one"),
    ("<answer>yes</answer><answer>no</answer>", "no"),
    ("<answer>a < b and c > d</answer>", "a < b and c > d"),
    ("<answer><b>bold</b></answer>", "<b>bold</b>"),
]


@pytest.mark.parametrize(("reply", "text"), ANSWERS)
def test_answers(reply, text):
    assert parse_answer(reply) == AnswerReply(text)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("", "no_answer"),
        ("three chairs", "no_answer"),
        ("<answer> </answer>", "empty"),
        ("<answer>three", "unclosed_answer"),
        ("<think><answer>3</answer></think>", "no_answer"),
    ],
)
def test_replies_without_an_answer(reply, code):
    failure = parse_answer(reply)
    assert isinstance(failure, ParseFailure)
    assert failure.code == code


THOUGHTS = [
    ("<think>It is red.</think><answer>x</answer>", "It is red."),
    ("<think>\n two lines\n of it \n</think>", "two lines\n of it"),
    ("opened in the prompt</think><answer>x</answer>", "opened in the prompt"),
    ("<think>never closed <answer>x</answer>", "never closed"),
    ("<think>cut off", "cut off"),
    ("<think>first</think><think>second</think>", "first"),
    ("<think>say <answer>x</answer> later</think>", "say x later"),
    ("<answer>x</answer>", ""),
    ("", ""),
]


@pytest.mark.parametrize(("reply", "thought"), THOUGHTS)
def test_thoughts(reply, thought):
    assert parse_think(reply) == thought


HOSTILE = [
    "5" * 10_000,
    "5s to " * 2_000,
    " " * 10_000 + "5s to 10s" + " " * 10_000 + "x",
    "<think>" * 2_000,
    "<answer>" * 2_000,
    "</think>" * 2_000,
    "<answer>" + "<" * 10_000 + "</answer>",
    "<answer>" + "-" * 10_000 + "</answer>",
    "<answer>" + "5 " * 5_000 + "</answer>",
    "<answer>" + "{[" * 5_000 + "</answer>",
    "<answer>" + '{"bbox_2d": ' + "[" * 10_000 + "</answer>",
    "\ud800 lone surrogate",
    "\x00\x01\x02",
]


@pytest.mark.parametrize("reply", HOSTILE, ids=range(len(HOSTILE)))
def test_junk_of_any_length_is_a_failure_without_exception(reply):
    assert isinstance(parse_span(reply), ParseFailure)
    assert isinstance(parse_boxes(reply), ParseFailure)
    assert isinstance(parse_think(reply), str)


def test_an_answer_behind_long_thinking_is_found():
    thought = "The chair is not here, 1s to 2s. " * 300
    assert parse_span(f"<think>{thought}</think><answer>5s to 10s</answer>") == SpanReply(5, 10)
