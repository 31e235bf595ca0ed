# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The peers that measure/peer.c knows, as people read them, and the sizes that are compared."""

KIB, MIB = 1 << 10, 1 << 20
PAGE = 4 * KIB

TITLES = {
    "memset": "memset of the same bytes",
    "ioctl": "empty ioctl",
    "private": "private",
    "cold": "shared, cold",
    "warm": "shared, warm",
    "shared": "shared",
    "cma": "CMA heap",
    "system": "system heap",
    "v4l2": "V4L2 MMAP + EXPBUF",
    "udmabuf": "udmabuf",
}
ALLOCATING = ("private", "cold", "warm", "cma", "system", "v4l2", "udmabuf")
LATENCY = ("memset", "ioctl", *ALLOCATING)
SIZES = (
    *(4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB),
    *(1 * MIB, 4 * MIB, 8 * MIB, 16 * MIB, 64 * MIB),
)
