/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 cm-agent authors */
/* Host stand-in: up to the next multiple of a power of two; wraps to 0 as the kernel's does. */
#ifndef HOST_LINUX_ALIGN_H
#define HOST_LINUX_ALIGN_H

#define ALIGN(x, a) (((x) + ((__typeof__(x))(a) - 1)) & ~((__typeof__(x))(a) - 1))

#endif
