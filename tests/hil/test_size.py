# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What `cm-agent size` says of a camera and of codecs is what streaming takes, to the byte."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from boards.remote import RemoteBoard
from unit.cli.schema import check as document

pytestmark = [
    pytest.mark.two_kernels,
    pytest.mark.lg_feature("vivid"),
    pytest.mark.lg_feature("vicodec"),
]


@pytest.fixture(
    scope="module", autouse=True, params=[False, True], ids=["single-planar", "multi-planar"]
)
def drivers(board: RemoteBoard, request: pytest.FixtureRequest) -> Iterator[None]:
    """A camera and codecs, whose images are in one plane or, if their format has it, in several."""
    board.need("module")
    several = request.param
    planes = f"multiplanar={2 if several else 1}"
    board.check(f"modprobe vivid n_devs=1 node_types=0x1 allocators=1 {planes}")
    board.check(f"modprobe vicodec multiplanar={several:d} && udevadm settle")
    yield
    board.check("modprobe -r vivid vicodec")


def sizes(board: RemoteBoard, *words: str) -> dict[str, Any]:
    """Return the result of `cm-agent size`."""
    text = board.check("cm-agent size --json " + " ".join(words))
    result: dict[str, Any] = document(text)["result"]
    return result


def film(size: tuple[int, int], format: str, buffers: int) -> int:
    """Return the bytes that a camera takes."""
    from cm_agent import Context, video

    with Context("shared") as pool:
        before = pool.query().free
        with video.Camera("vivid", pool, size=size, format=format, buffers=buffers) as camera:
            camera.frame().end()
            return before - pool.query().free


@pytest.mark.parametrize("buffers", [1, 4])
@pytest.mark.parametrize("format", ["YU12", "NV12", "YUYV", "RGB3"])
def test_a_camera_takes_what_was_said(module: RemoteBoard, format: str, buffers: int) -> None:
    """Also when the driver wants more buffers than were asked for."""
    said = sizes(module, f"--camera vivid:640x480:{format}:{buffers}")["bytes"]
    assert said == module.call(film, size=(640, 480), format=format, buffers=buffers) > 0


def test_a_camera_of_several_planes_takes_what_was_said(
    module: RemoteBoard, request: pytest.FixtureRequest
) -> None:
    if "multi" not in request.node.name:
        pytest.skip("vivid has NM12 when it is multi-planar")
    said = sizes(module, "--camera vivid:640x480:NM12:3")
    assert len(said["devices"][0]["output"]["planes"]) == 2
    assert said["bytes"] == module.call(film, size=(640, 480), format="NM12", buffers=3)


def set_format_of_camera() -> str:
    """Return the format that the camera has."""
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find_camera

    with VideoDevice(find_camera("vivid")) as device:
        return str(device.capture.format)


def test_asking_a_camera_does_not_change_its_format(module: RemoteBoard) -> None:
    before = module.call(set_format_of_camera)
    sizes(module, "--camera vivid:320x180:RGB3")
    assert module.call(set_format_of_camera) == before != "320x180 RGB3"


def code(size: tuple[int, int], format: str, inputs: int, buffers: int) -> dict[str, int]:
    """Encode and decode an image of ordinary memory; return what each of the two takes."""
    from cm_agent import Context, video

    counts: dict[str, Any] = {"inputs": inputs, "buffers": buffers}
    taken = {}
    with Context("shared") as pool:
        with video.Encoder("vicodec", pool, size=size, format=format, **counts) as encoder:
            image = bytes(sum(plane.size for plane in encoder.input.planes))
            before = pool.query().free + sum(it.size for it in encoder.chunks)
            packets = list(encoder.encode([image]))
            taken["encoder"] = before - pool.query().free
        before = pool.query().free
        shape: dict[str, Any] = {"format": "FWHT", "to": format, "size": size}
        with video.Decoder("vicodec", pool, **shape, **counts) as decoder:
            assert sum(1 for _ in decoder.decode(packets)) == 1
            taken["decoder"] = before - pool.query().free
    return taken


@pytest.mark.parametrize("format", ["YU12", "NV12", "GREY"])
@pytest.mark.parametrize(("inputs", "buffers"), [(4, 4), (1, 2)])
def test_codecs_take_what_was_said(
    module: RemoteBoard, format: str, inputs: int, buffers: int
) -> None:
    """An encoder and a decoder that are given images and packets of ordinary memory."""
    taken = module.call(code, size=(640, 480), format=format, inputs=inputs, buffers=buffers)
    counts = f"{inputs}+{buffers}"
    for role, formats in {"encoder": f"{format}:FWHT", "decoder": f"FWHT:{format}"}.items():
        said = sizes(module, f"--{role} vicodec:640x480:{formats}:{counts}")
        assert (role, said["bytes"]) == (role, taken[role])


def share(size: tuple[int, int]) -> int:
    """Return what a camera and an encoder take that reads its images where they are."""
    from cm_agent import Context, video

    with Context("shared") as pool:
        before = pool.query().free
        with (
            video.Camera("vivid", pool, size=size, format="GREY") as camera,
            video.Encoder("vicodec", pool, format=camera.format) as encoder,
        ):
            assert len(list(encoder.encode(camera.frames(4)))) == 4
            return before - pool.query().free


def test_a_pipeline_takes_what_was_said_with_inputs_0(module: RemoteBoard) -> None:
    words = ["--camera vivid:640x360:GREY", "--encoder vicodec:640x360:GREY:FWHT:0+4"]
    assert sizes(module, *words)["bytes"] == module.call(share, size=(640, 360))


def test_all_devices_are_found_and_the_context_is_enough(module: RemoteBoard) -> None:
    said = sizes(module)
    assert [it["role"] for it in said["devices"]] == ["camera", "encoder", "decoder"]
    (rule,) = said["rules"]
    (context,) = rule["contexts"]
    assert (rule["rule"], context["name"], context["state"]["name"]) == (None, "shared", "shared")
    assert context["enough"] == (said["bytes"] <= context["state"]["size"])


def test_nothing_was_allocated_for_it(module: RemoteBoard) -> None:
    asked = module.check("cm-agent list --json")
    sizes(module)
    assert document(module.check("cm-agent list --json")) == document(asked)


def test_the_bank_has_a_place_in_the_tree_of_this_board(module: RemoteBoard) -> None:
    said = sizes(module, "--camera vivid:640x480:NV12:4")
    (bank,) = said["banks"]
    assert f"shared@{bank['address']:x} {{" in said["overlay"]
    assert bank["address"] % (4 << 20) == bank["size"] % (4 << 20) == 0
    assert 0 <= bank["size"] - bank["bytes"] < 8 << 20


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("--camera vivid:640x480:H264", "its pixel formats are"),
        ("--camera vivid:641x7:NV12", "the nearest it offers is"),
        ("--camera nosuch", "no camera of that name or driver"),
        ("--camera vicodec", "no camera of that name or driver"),
        ("--encoder vicodec:640x480:NV12:H264", "its pixel formats are"),
    ],
)
def test_what_the_drivers_do_not_have_is_the_caller_s_error(
    module: RemoteBoard, words: str, why: str
) -> None:
    got = module.run(f"cm-agent size {words}")
    assert got.code == 2 and why in got.stderr, got
