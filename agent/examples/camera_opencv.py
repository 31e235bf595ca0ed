#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Detect motion in a camera's frames, which OpenCV reads where the camera has put them.

    sudo apt install python3-numpy python3-opencv
    camera_opencv.py vivid shared --save moved.png

Prints the share of pixels that changed from frame to frame, and saves the frame that changed most.
"""

from __future__ import annotations

import argparse

import cv2
from cm_agent import video

THRESHOLD = 20
"""Of 255: a pixel that changed by less has not moved."""


def main() -> None:
    """Watch as many frames as asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("camera", help="path, node or name of a driver")
    parser.add_argument("context", help="where the buffers come from")
    parser.add_argument("--frames", type=int, default=50, metavar="N")
    parser.add_argument("--save", metavar="FILE", help="where to save the frame that changed most")
    args = parser.parse_args()
    before, most, picture = None, 0.0, None
    with video.Camera(args.camera, args.context, size=(640, 360), format="YUYV") as camera:
        for frame in camera.frames(args.frames):
            with frame.array() as image:  # (360, 640, 2), no copy; valid in this block only
                grey = cv2.cvtColor(image, cv2.COLOR_YUV2GRAY_YUYV)  # an image of OpenCV's own
                if before is not None:
                    moved = cv2.absdiff(grey, before) > THRESHOLD
                    print(f"frame {frame.sequence}: {moved.mean():.2%} moved", flush=True)
                    if moved.mean() > most:
                        most, picture = moved.mean(), cv2.cvtColor(image, cv2.COLOR_YUV2BGR_YUYV)
            before = grey
    if args.save and picture is not None and not cv2.imwrite(args.save, picture):
        parser.exit(1, f"{args.save}: cannot be written\n")


if __name__ == "__main__":
    main()
