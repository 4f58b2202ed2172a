import itertools
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.data.sources.sens import SensReader, index_sens
from scene_r1_cli.data.sources.sens_writer import SensFrame, write_sens
from scene_r1_cli.errors import InputError
from tests import captures

# Byte offsets of header fields with the writer's 15-byte sensor name.
NAME_LENGTH, MATRICES, CODECS, SIZES, SHIFT, COUNT, FRAMES = 4, 27, 283, 291, 307, 311, 319


@pytest.fixture(scope="module")
def sens_bytes(tmp_path_factory):
    return captures.write_test_sens(tmp_path_factory.mktemp("sens") / "scene0000_00.sens").read_bytes()


def test_reads_what_was_written(tmp_path):
    index = index_sens(captures.write_test_sens(tmp_path / "a.sens"))
    assert index.header.num_frames_declared == 4
    assert index.header.color_camera == captures.COLOR
    assert index.header.depth_camera == captures.DEPTH
    reader = SensReader(index)
    np.testing.assert_allclose(index.scan_from_camera[2], captures.camera_transform(2), atol=1e-6)
    expected = captures.depth_mm(3).astype(np.float32) / 1000
    np.testing.assert_allclose(reader.read_depth(3), expected, rtol=1e-6)
    assert reader.read_depth(3)[0, 0] == 0
    assert reader.color_bytes(1) == captures.jpeg(captures.color_image(1))
    assert reader.read_color(1).shape == (48, 64, 3)
    assert abs(int(reader.read_color(1)[40, 30, 0]) - 50) <= 2


def test_header_offsets_are_as_documented(sens_bytes):
    assert struct.unpack_from("<Q", sens_bytes, COUNT) == (4,)
    assert struct.unpack_from("<IIII", sens_bytes, SIZES) == (64, 48, 32, 24)
    assert struct.unpack_from("<f", sens_bytes, SHIFT) == (1000.0,)


@pytest.mark.parametrize("length", [0, 3, 4, 20, 30, 200, 290, 315])
def test_cut_inside_the_header_names_file_and_field(tmp_path, sens_bytes, length):
    path = tmp_path / "cut.sens"
    path.write_bytes(sens_bytes[:length])
    with pytest.raises(InputError, match=r"cut\.sens ends inside its header, at field '.+'"):
        index_sens(path)


def test_cut_later_keeps_the_whole_frames_and_says_how_many(tmp_path, sens_bytes):
    path = tmp_path / "scene0000_00.sens"
    path.write_bytes(sens_bytes[:-200])
    scene = open_scene(path)
    assert [frame.frame_index for frame in scene.frames] == [0, 1, 2]
    assert scene.notes == ("scene0000_00.sens is cut: its header declares 4 frames, 3 are whole, 1 are lost",)


def test_missing_imu_tail_is_no_fault(tmp_path, sens_bytes):
    path = tmp_path / "scene0000_00.sens"
    path.write_bytes(sens_bytes[:-8])
    scene = open_scene(path)
    assert len(scene.frames) == 4
    assert scene.notes == ()


def test_cut_before_the_first_whole_frame(tmp_path, sens_bytes):
    path = tmp_path / "a.sens"
    path.write_bytes(sens_bytes[: FRAMES + 100])
    with pytest.raises(InputError, match="holds no whole frame: its header declares 4"):
        index_sens(path)


@pytest.mark.parametrize(
    ("offset", "layout", "value", "message"),
    [
        (0, "<I", 3, "version field is 3"),
        (NAME_LENGTH, "<Q", 2**63, "sensor name length"),
        (MATRICES, "<f", float("nan"), "intrinsic_color fx nan"),
        (MATRICES + 128, "<f", 0.0, "intrinsic_depth fx 0"),
        (CODECS, "<i", 7, "colour codec 7"),
        (CODECS + 4, "<i", 2, r"depth codec 2 \(occi_ushort\)"),
        (SIZES, "<I", 0, "color size 0×48"),
        (SIZES + 12, "<I", 2**31, "depth size 32×2147483648"),
        (SHIFT, "<f", 0.0, "depth_shift 0.0"),
        (SHIFT, "<f", float("inf"), "depth_shift inf"),
    ],
)
def test_impossible_header_fields_are_named(tmp_path, sens_bytes, offset, layout, value, message):
    data = bytearray(sens_bytes)
    struct.pack_into(layout, data, offset, value)
    path = tmp_path / "a.sens"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        index_sens(path)


def test_absurd_frame_count_costs_no_memory(tmp_path, sens_bytes):
    data = bytearray(sens_bytes)
    struct.pack_into("<Q", data, COUNT, 2**60)
    path = tmp_path / "scene0000_00.sens"
    path.write_bytes(data)
    index = index_sens(path)
    assert len(index.color_us) == 4
    assert index.num_missing == 2**60 - 4


@given(
    offset=st.integers(0, FRAMES + 96),
    garbage=st.binary(min_size=1, max_size=16),
    length=st.integers(0, 2000),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_gives_frames_or_one_clear_error(tmp_path, sens_bytes, offset, garbage, length):
    data = bytearray(sens_bytes)
    data[offset : offset + len(garbage)] = garbage
    path = tmp_path / "scene0000_00.sens"
    path.write_bytes(data[: len(data) - length])
    try:
        scene = open_scene(path)
        for frame in scene.frames:
            scene.read_color(frame.frame_index)
            scene.read_depth(frame.frame_index)
    except InputError:
        return  # any other exception fails the test
    assert scene.frames


# Every field of the header and of the first frame but the sensor's name: where it lies, what it is, how many.
FIELDS = {
    "version": (0, "<I", 1),
    "sensor name length": (NAME_LENGTH, "<Q", 1),
    "intrinsic_color": (MATRICES, "<f", 16),
    "extrinsic_color": (MATRICES + 64, "<f", 16),
    "intrinsic_depth": (MATRICES + 128, "<f", 16),
    "extrinsic_depth": (MATRICES + 192, "<f", 16),
    "codecs": (CODECS, "<i", 2),
    "sizes": (SIZES, "<I", 4),
    "depth_shift": (SHIFT, "<f", 1),
    "frame count": (COUNT, "<Q", 1),
    "camera_to_world": (FRAMES, "<f", 16),
    "times": (FRAMES + 64, "<Q", 2),
    "lengths": (FRAMES + 80, "<Q", 2),
}
VALUES = {
    "<I": st.integers(0, 2**32 - 1) | st.sampled_from([0, 1, 2**31, 2**32 - 1]),
    "<i": st.integers(-(2**31), 2**31 - 1) | st.integers(-2, 4),
    "<Q": st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2**31, 2**32, 2**63, 2**64 - 1]),
    "<f": st.floats(width=32),
}


def test_the_fields_are_all_of_them():
    covered = [
        (offset, offset + struct.calcsize(layout) * count) for offset, layout, count in FIELDS.values()
    ]
    gaps = [(end, start) for (_, end), (start, _) in itertools.pairwise(covered) if end != start]
    assert gaps == [(NAME_LENGTH + 8, MATRICES)]
    assert covered[-1][1] == FRAMES + 96


# A fixture is shared by the examples on purpose, and a refused file is quick whatever it claims.
ANY_HEALTH = (
    HealthCheck.function_scoped_fixture,
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
    HealthCheck.filter_too_much,
    HealthCheck.large_base_example,
)


@pytest.mark.parametrize("name", FIELDS)
@given(data=st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=ANY_HEALTH)
def test_any_value_of_a_field_gives_frames_or_errors_that_name_the_file(tmp_path, sens_bytes, name, data):
    offset, layout, count = FIELDS[name]
    place = data.draw(st.integers(0, count - 1))
    damaged = bytearray(sens_bytes)
    struct.pack_into(layout, damaged, offset + place * struct.calcsize(layout), data.draw(VALUES[layout]))
    path = tmp_path / "scene0000_00.sens"
    path.write_bytes(damaged)
    errors = []
    try:
        scene = open_scene(path)
        assert scene.frames
        for frame in scene.frames:
            scene.read_color(frame.frame_index)
            scene.read_depth(frame.frame_index)
    except InputError as error:  # any other exception fails the test
        errors.append(error.message)
    assert all("scene0000_00" in message for message in errors)


@pytest.mark.parametrize(
    ("offset", "layout", "value"),
    [
        (NAME_LENGTH, "<Q", 2**40),
        (SIZES, "<I", 16384),
        (SIZES + 8, "<I", 16384),
        (COUNT, "<Q", 2**63),
        (FRAMES + 80, "<Q", 2**50),
        (FRAMES + 88, "<Q", 2**63),
    ],
)
def test_absurd_counts_allocate_nothing(tmp_path, sens_bytes, offset, layout, value):
    data = bytearray(sens_bytes)
    struct.pack_into(layout, data, offset, value)
    path = tmp_path / "scene0000_00.sens"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        scene = open_scene(path)
        scene.read_color(scene.frames[0].frame_index)
        scene.read_depth(scene.frames[0].frame_index)
    except InputError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 40 * 2**20


def test_a_scan_of_colour_alone_says_that_there_is_no_depth(tmp_path):
    path = captures.write_test_sens(tmp_path / "scene0000_00.sens", 3)
    index, data = index_sens(path), bytearray(path.read_bytes())
    for number in reversed(range(3)):
        start, length = index.depth_range[number].tolist()
        struct.pack_into("<Q", data, int(index.color_range[number, 0]) - 8, 0)
        del data[start : start + length]
    path.write_bytes(data)
    with pytest.raises(InputError, match="no colour or no depth image"):
        open_scene(path)


def test_depth_of_another_size_than_the_header_says(tmp_path, sens_bytes):
    data = bytearray(sens_bytes)
    struct.pack_into("<I", data, SIZES + 8, 16)
    path = tmp_path / "a.sens"
    path.write_bytes(data)
    with pytest.raises(InputError, match="does not hold 16×24 16-bit depth values"):
        SensReader(index_sens(path)).read_depth(0)


def test_a_failed_write_leaves_nothing(tmp_path):
    frame = SensFrame(np.eye(4), b"", np.zeros((2, 2), np.uint16), 0, 0)
    with pytest.raises(InputError, match=r"\(24, 32\) uint16 is needed"):
        write_sens(
            tmp_path / "a.sens", color_camera=captures.COLOR, depth_camera=captures.DEPTH, frames=[frame]
        )
    assert list(tmp_path.iterdir()) == []
