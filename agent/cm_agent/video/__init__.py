# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Cameras, encoders, decoders and converters whose images are in chunks of a context."""

from cm_agent.video.camera import Camera
from cm_agent.video.control import Control, ControlType
from cm_agent.video.controls import Controls
from cm_agent.video.converter import Converter
from cm_agent.video.decoder import Decoder
from cm_agent.video.device import VideoDevice
from cm_agent.video.discovery import (
    find,
    find_camera,
    find_converter,
    find_decoder,
    find_encoder,
)
from cm_agent.video.encoder import Encoder
from cm_agent.video.error import DeviceLookupError, VideoError
from cm_agent.video.format import Capabilities, Colour, Format, FormatDescription, PlaneFormat
from cm_agent.video.frame import Counters, Frame
from cm_agent.video.frames import Frames
from cm_agent.video.packets import Packet, Packets
from cm_agent.video.pipeline import Pipeline, Result, Watcher

__all__ = [
    "Camera",
    "Capabilities",
    "Colour",
    "Control",
    "ControlType",
    "Controls",
    "Converter",
    "Counters",
    "Decoder",
    "DeviceLookupError",
    "Encoder",
    "Format",
    "FormatDescription",
    "Frame",
    "Frames",
    "Packet",
    "Packets",
    "Pipeline",
    "PlaneFormat",
    "Result",
    "VideoDevice",
    "VideoError",
    "Watcher",
    "find",
    "find_camera",
    "find_converter",
    "find_decoder",
    "find_encoder",
]
