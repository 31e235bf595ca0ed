# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Samsung's driver s5p-jpeg, of an Exynos4210, imports our chunks on both queues.

On the emulated board all is real up to the engine, which QEMU has no model of: the driver probes,
negotiates, imports, maps for its device, queues, and looks for a JPEG's header in our chunk. But no
image is ever coded, and a job once begun would never end. So no test here starts both queues.

The driver is built of Debian's sources with VB2_DMABUF added (tests/boards/kerneldriver.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from boards.remote import RemoteBoard

pytestmark = pytest.mark.lg_feature("s5p-jpeg")

MAP = "s5p-jpeg/output=private;s5p-jpeg/capture=shared"
IMAGE = 640 * 480 * 2
CODED = 640 * 480
"""Bytes for a coded image: this driver leaves it to its users."""
MIB = 1 << 20
BANK = 64 * MIB


@pytest.fixture(scope="module", autouse=True)
def jpeg(board: RemoteBoard) -> Iterator[None]:
    """The codec's driver, loaded once."""
    board.need("module").check("modprobe s5p-jpeg && udevadm settle")
    yield
    board.check("modprobe -r s5p-jpeg")


def import_by_policy(map: str, coded: int) -> dict[str, dict[str, Any]]:
    """Give each queue of the encoder a chunk, by policy."""
    from contextlib import ExitStack

    from cm_agent.contiguity.verification import verify
    from cm_agent.core.context import Context, contexts
    from cm_agent.policy.allocator import Allocator
    from cm_agent.policy.rules import Policy
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find_encoder
    from cm_agent.video.format import Payload

    allocator, told = Allocator(Policy.parse(map)), {}
    with ExitStack() as stack:
        coder = stack.enter_context(VideoDevice(find_encoder("s5p-jpeg")))
        coder.capture.negotiate(640, 480, "JPEG", size=coded)
        coder.output.negotiate(640, 480, "YUYV")
        pools = {name: stack.enter_context(Context(name)) for name in contexts()}
        for queue in (coder.output, coder.capture):
            (plane,) = queue.format.planes
            chunk = stack.enter_context(allocator.alloc("s5p-jpeg", queue.name, plane.size))
            stack.callback(queue.release_buffers)
            queue.request_buffers(1)
            payloads = [Payload(plane.size, 0)] if queue is coder.output else []
            queue.queue(0, [chunk], payloads)
            attested = pools["shared"].attest(chunk)
            pool = pools[attested.context]
            told[queue.name] = {
                "size": plane.size,
                "context": pool.name,
                "address": attested.runs[0].address,
                "maps": pool.info(chunk).maps,
                "verdict": str(verify(chunk, pool).verdict),
            }
    return told


def test_both_queues_import_contiguous_chunks_of_their_own_banks(
    module: RemoteBoard, banks: dict[str, str]
) -> None:
    """Images lie in the left bank, coded ones in the right, as ports to two banks want it."""
    got = module.call(import_by_policy, map=MAP, coded=CODED)
    assert got["output"]["size"] >= IMAGE and got["capture"]["size"] == CODED
    for side, context in (("output", "private"), ("capture", "shared")):
        told, start = got[side], int(banks[context].partition("@")[2], 16)
        assert told["context"] == context
        assert start <= told["address"] < start + BANK
        assert told["maps"] == 1, "the driver has it mapped for its device"
        assert told["verdict"] == "CONTIGUOUS"


def offer_too_little(side: str, coded: int) -> dict[str, Any]:
    """Offer a chunk that is a page too small to one queue of the encoder."""
    import mmap
    from contextlib import ExitStack

    from cm_agent.core.context import Context
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find_encoder
    from cm_agent.video.error import VideoError
    from cm_agent.video.format import Payload

    with ExitStack() as stack:
        pool = stack.enter_context(Context("shared"))
        coder = stack.enter_context(VideoDevice(find_encoder("s5p-jpeg")))
        coder.capture.negotiate(640, 480, "JPEG", size=coded)
        coder.output.negotiate(640, 480, "YUYV")
        queue = coder.output if side == "output" else coder.capture
        wanted = queue.format.planes[0].size
        chunk = stack.enter_context(pool.alloc((wanted - 1) // mmap.PAGESIZE * mmap.PAGESIZE))
        stack.callback(queue.release_buffers)
        queue.request_buffers(1)
        told = {"wanted": wanted, "size": chunk.size, "errno": 0, "text": ""}
        try:
            queue.queue(0, [chunk], [Payload(chunk.size, 0)] if side == "output" else [])
        except VideoError as error:
            told |= {"errno": error.errno, "text": str(error)}
        return told | {"maps": pool.info(chunk).maps}


@pytest.mark.parametrize("side", ["output", "capture"])
def test_a_chunk_that_is_too_small_is_refused_in_the_drivers_words_and_ours(
    module: RemoteBoard, side: str
) -> None:
    got = module.call(offer_too_little, side=side, coded=CODED)
    assert got["errno"] == 22
    assert f"queue {side} buffer 0: Invalid argument" in got["text"]
    assert f"the driver wants {got['wanted']:,} bytes, the chunk has {got['size']:,}" in got["text"]
    assert got["maps"] == 0


def offer_fragments() -> dict[str, Any]:
    """Offer the encoder what vivid has allocated page by page, and is large enough.

    Pages may follow each other by chance: of many buffers, it is the one in most runs.
    """
    from contextlib import ExitStack
    from operator import itemgetter

    from cm_agent.core.context import Context
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find, find_encoder
    from cm_agent.video.error import VideoError
    from cm_agent.video.format import Payload

    with ExitStack() as stack:
        pool = stack.enter_context(Context("shared"))
        camera = stack.enter_context(VideoDevice(find("vivid")))
        camera.capture.negotiate(640, 480, "RGB3")
        buffers = [it for (it,) in stack.enter_context(camera.capture.exported(16))]
        runs, chunk = max(((len(pool.attest(it).runs), it) for it in buffers), key=itemgetter(0))
        coder = stack.enter_context(VideoDevice(find_encoder("s5p-jpeg")))
        coder.output.negotiate(640, 480, "YUYV")
        stack.callback(coder.output.release_buffers)
        coder.output.request_buffers(1)
        told = {"runs": runs, "errno": 0, "text": ""}
        try:
            coder.output.queue(0, [chunk], [Payload(1000, 0)])
        except VideoError as error:
            told |= {"errno": error.errno, "text": str(error)}
        return told


@pytest.mark.lg_feature("vivid")
def test_a_buffer_in_fragments_is_refused(module: RemoteBoard) -> None:
    module.check("modprobe vivid n_devs=1 node_types=0x1 allocators=0 && udevadm settle")
    try:
        got = module.call(offer_fragments)
    finally:
        module.check("modprobe -r vivid")
    assert got["runs"] > 1
    assert got["errno"] == 14
    assert "the driver cannot map the chunk for its device; is it contiguous" in got["text"]


def decode_garbage(context: str) -> dict[str, Any]:
    """Start the decoder's output queue with a chunk that holds no JPEG; tell what comes back."""
    from contextlib import ExitStack

    from cm_agent.core.context import Context
    from cm_agent.video.device import VideoDevice
    from cm_agent.video.discovery import find_decoder
    from cm_agent.video.format import Payload

    with ExitStack() as stack:
        pool = stack.enter_context(Context(context))
        decoder = stack.enter_context(VideoDevice(find_decoder("s5p-jpeg", "JPEG")))
        (plane,) = decoder.output.negotiate(320, 176, "JPEG", size=65536).planes
        chunk = stack.enter_context(pool.alloc(plane.size))
        stack.callback(decoder.output.release_buffers)
        decoder.output.request_buffers(1)
        decoder.output.queue(0, [chunk], [Payload(plane.size, 0)])
        decoder.output.stream_on()
        back = decoder.output.dequeue()
        decoder.output.stream_off()
        return {"index": back.index, "error": back.error} if back else {}


@pytest.mark.parametrize("context", ["shared", "private"])
def test_the_decoder_looks_into_our_chunk_and_finds_no_jpeg(
    module: RemoteBoard, context: str
) -> None:
    """The driver reads headers itself, by the kernel's mapping of the chunk; no engine needed."""
    assert module.call(decode_garbage, context=context) == {"index": 0, "error": True}
