# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The bytes of an image or packet in ordinary memory, and where a device wants them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from cm_agent.video.format import Format
from cm_agent.video.layout import Part, parts

PACKETS = "bytes, a Packet or a Frame"


class Piece(NamedTuple):
    """Rows one after the other in ordinary memory, and their place in a plane."""

    part: Part
    data: memoryview

    def copy_to(self, plane: memoryview) -> None:
        """Copy the rows to where they belong."""
        row, rows = self.part.row, self.part.rows
        if row == rows.step:
            plane[rows.start : rows.start + len(self.data)] = self.data
            return
        for number, at in enumerate(rows):
            plane[at : at + row] = self.data[number * row : (number + 1) * row]


def image_pieces(image: Any, format: Format) -> list[Piece]:
    """Return the parts of an image: an array or bytes, or a list of one for each part.

    Each has rows one after the other; a single object has all parts after one another, as OpenCV
    has I420. TypeError for what has no bytes, ValueError for another shape or size.
    """
    wanted = parts(format)
    if isinstance(image, tuple | list):
        if len(image) != len(wanted):
            what = f"{len(image)} parts are no image of {format}, which has {len(wanted)}"
            raise ValueError(f"{what}: {_described(wanted)}")
        return [
            Piece(part, _bytes(data, [part], format))
            for part, data in zip(wanted, image, strict=True)
        ]
    data, begin, pieces = _bytes(image, wanted, format), 0, []
    for part in wanted:
        end = begin + part.row * part.shape[0]
        pieces.append(Piece(part, data[begin:end]))
        begin = end
    return pieces


def packet_pieces(packet: Any, format: Format) -> list[Piece]:
    """Return a packet of a coded stream as one piece; ValueError when the device has less room."""
    data = _flat(bytes_of(packet, PACKETS))
    room = format.planes[0].size
    if len(data) > room:
        raise ValueError(
            f"a packet of {len(data):,} bytes does not fit the decoder's buffers of {room:,}: "
            f"make it with coded_size={len(data)} or more"
        )
    return [Piece(Part(0, 0, (1, len(data)), "u1", (len(data), 1)), data)]


def _bytes(image: Any, wanted: Sequence[Part], format: Format) -> memoryview:
    """Return all bytes of an object that has these parts; ValueError if it has others."""
    view = bytes_of(image, "a NumPy array, bytes, a Frame or a Buffer")
    shape = view.shape or ()
    size = sum(part.row * part.shape[0] for part in wanted)
    samples = view.ndim == 1 or _numbers(view) == int(wanted[0].dtype[-1])
    rows_fit = view.ndim == 1 or (view.ndim > 1 and view.nbytes == wanted[0].row * shape[0])
    pixels_fit = view.ndim < 3 or shape == wanted[0].shape
    if view.nbytes != size or not (samples and rows_fit and pixels_fit):
        has = f"{view.nbytes:,} bytes" if view.ndim == 1 else f"shape {shape}"
        kind = f" of {view.itemsize}-byte {view.format!r}" if view.itemsize > 1 else ""
        raise ValueError(f"{has}{kind}: no image of {format}, which has {_described(wanted)}")
    return _flat(view)


def _numbers(view: memoryview) -> int:
    """Return the bytes of each number, 0 for others than whole ones in the machine's order."""
    return view.itemsize if view.format.lstrip("@=<") in ("B", "b", "c", "H", "h") else 0


def _described(wanted: Sequence[Part]) -> str:
    shapes = " and ".join(str(part.shape) for part in wanted)
    size = sum(part.row * part.shape[0] for part in wanted)
    return f"{shapes} of {wanted[0].dtype}, {size:,} bytes"


def bytes_of(data: Any, wanted: str) -> memoryview:
    """Return a view of what has bytes; TypeError, with what is wanted, for what has none."""
    try:
        return memoryview(data)
    except TypeError:
        raise TypeError(f"{type(data).__name__} has no bytes: {wanted} is wanted") from None


def _flat(view: memoryview) -> memoryview:
    """Return the bytes in order: those of a slice or a transposed array as a copy."""
    return view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
