/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 cm-agent authors */
/* Host stand-in: division that rounds up. */
#ifndef HOST_LINUX_MATH_H
#define HOST_LINUX_MATH_H

#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))

#endif
