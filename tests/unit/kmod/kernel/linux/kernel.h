/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 cm-agent authors */
/* Host stand-in: arithmetic. */
#ifndef HOST_LINUX_KERNEL_H
#define HOST_LINUX_KERNEL_H

/* Up to the next multiple of a power of two; wraps to 0 as the kernel's does. */
#define ALIGN(x, a) (((x) + ((__typeof__(x))(a) - 1)) & ~((__typeof__(x))(a) - 1))

#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))

#endif
