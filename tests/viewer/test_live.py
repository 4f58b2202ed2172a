"""The live page: what its handlers do, what it lets in, and where a drawn box lands in the image."""

import socket
import urllib.request
from types import SimpleNamespace

import numpy as np
import pytest

from scene_r1_cli.data.labels import read_labels
from scene_r1_cli.data.rooms import RoomOptions, make_room
from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.errors import SetupError, UsageError
from scene_r1_cli.geometry.camera import project
from scene_r1_cli.serialize import box3d_to_json
from scene_r1_cli.types import Box2D, Camera

pytest.importorskip("viser")
from scene_r1_cli.viewer import frame_view
from scene_r1_cli.viewer.live import UNNAMED, Found, LiveView, serve

# Addresses of this machine that are not the one listened on: what another machine would use is as these are.
OTHER_ADDRESSES = ["127.0.0.2"]
HOSTILE = "the bed {1+1} <img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    options = RoomOptions(duration_s=4, fps=4, color_size_wh=(160, 120), depth_size_wh=(160, 120))
    return open_scene(make_room(9000, tmp_path_factory.mktemp("rooms"), options).path)


@pytest.fixture(scope="module")
def label(room):
    return next(one for one in read_labels(room.path / "labels" / "rooms.parquet") if one.box3d)


@pytest.fixture(scope="module")
def server():
    started = serve("127.0.0.1", 18080, "test")
    yield started
    started.stop()


@pytest.fixture
def page(server, room, label):
    """A live view whose grounding answers with the label, and what it was asked."""
    asked = []

    def ground(text, boxes):
        asked.append((text, boxes))
        if text == "nothing pocket knows":
            raise UsageError("pocket knows no such object.")
        row = {"query": text, "box3d": box3d_to_json(label.box3d), "run_dir": "runs/one"}
        return Found(row, np.zeros((4, 3), np.float32), label.box3d)

    server.scene.reset()
    server.gui.reset()
    view = LiveView(server, room, ground)
    return SimpleNamespace(view=view, asked=asked, status=lambda: view._status.content)


def drawn(server):
    return server.scene._handle_from_node_name


def test_a_typed_query_is_grounded_shown_and_can_be_chosen_again(page, server, label):
    page.view._text.value = "  the bed "
    found = page.view.find(page.view._text.value)
    assert page.asked == [("the bed", ())]
    np.testing.assert_allclose(found.box.center_m, label.box3d.center_m)
    lines = drawn(server)["/box"].points.reshape(-1, 3)
    np.testing.assert_allclose(lines.mean(axis=0), label.box3d.center_m, atol=1e-3)
    assert page.view._results.options == ("–", "1. the bed")
    assert page.view._results.value == "1. the bed"
    assert "runs/one" in page.status()
    page.view.find("the chair")
    page.view._results.value = "1. the bed"
    page.view._on_choice(SimpleNamespace(client=object()))
    assert "the bed" in page.status()
    page.view._results.value = "–"
    page.view._on_choice(SimpleNamespace(client=object()))
    assert drawn(server)["/box"].points.size == 0


def test_what_cannot_be_asked_is_said(page):
    assert page.view.find("   ") is None
    assert "Type what to find" in page.status()
    assert page.view.find("nothing pocket knows") is None
    assert "pocket knows no such object." in page.status()
    assert not page.view._button.disabled
    with page.view._busy:
        assert page.view.find("the bed") is None
    assert "Still at work" in page.status()
    assert [text for text, _ in page.asked] == ["nothing pocket knows"]


def test_texts_stay_texts(page):
    page.view.find(HOSTILE)
    assert "&lt;img src=x onerror=alert(1)&gt;" in page.status()
    assert "<img" not in page.status()


def test_a_box_drawn_where_one_stands_is_grounded(page, room):
    index = frame_view.spread_frames(room)[0]
    world_from_camera = room.world_from_color_camera(index)
    client = SimpleNamespace(client_id=7, camera=None)
    corners = {"client": client, "screen_min": (0.4, 0.4), "screen_max": (0.6, 0.6)}
    page.view._on_box(SimpleNamespace(**corners))
    assert "Click a camera first" in page.status()
    wxyz, position = frame_view._place(world_from_camera)
    fov = frame_view.fov_that_shows(room.color_camera, 1.5)
    client.camera = SimpleNamespace(wxyz=wxyz, position=position, fov=fov, aspect=1.5)
    page.view._frames._standing[7] = index
    page.view._on_box(SimpleNamespace(**corners))
    (text, (box,)) = page.asked[-1]
    assert (text, box.frame_index) == (UNNAMED, index)
    client.camera.position = position + 0.5
    page.view._on_box(SimpleNamespace(**corners))
    assert "Click a camera first" in page.status()
    assert len(page.asked) == 1


@pytest.mark.parametrize("aspect", [0.5, 1.0, 2.2])
def test_a_rectangle_on_the_screen_is_a_box_of_the_image(aspect):
    camera = Camera(fx=500, fy=510, cx=300, cy=255, size_wh=(640, 480))
    fov = frame_view.fov_that_shows(camera, aspect)
    half = np.tan(fov / 2)

    def screen(pixel):
        ray = (np.array(pixel) - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
        np.testing.assert_allclose(project(camera, np.array([[*ray, 1.0]]))[0][0], pixel)
        return (ray / [half * aspect, half] + 1) / 2

    low, high = screen((120, 80)), screen((400, 300))
    assert ((low > 0) & (high < 1)).all()
    found = frame_view.box_of_screen(camera, fov, aspect, (*low, *high))
    np.testing.assert_allclose(found, (120, 80, 400, 300), atol=1e-6)
    everything = frame_view.box_of_screen(camera, fov, aspect, (0, 0, 1, 1))
    np.testing.assert_allclose(everything, (-0.5, -0.5, 639.5, 479.5))
    with pytest.raises(UsageError, match="on the picture"):
        frame_view.box_of_screen(camera, fov, aspect, (*low, *low))


def test_only_this_machine_is_let_in(server):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.get_port()}", timeout=20) as reply:
        assert b"viser" in reply.read().lower()
    for address in OTHER_ADDRESSES:
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((address, server.get_port()), timeout=5)


def test_others_are_let_in_when_asked():
    opened = serve("0.0.0.0", 18180, "test")
    try:
        for address in OTHER_ADDRESSES:
            socket.create_connection((address, opened.get_port()), timeout=5).close()
    finally:
        opened.stop()


def test_an_address_of_another_machine_cannot_be_listened_on():
    with pytest.raises(SetupError, match=r"198\.51\.100\.7"):
        serve("198.51.100.7", 18280, "test")


def test_a_frame_that_was_drawn_on_needs_no_model(page, room):
    box = Box2D(frame_index=room.frames[0].frame_index, xyxy_px=(10, 10, 90, 90))
    assert page.view.find("the mug", (box,)) is not None
    assert page.asked == [("the mug", (box,))]
