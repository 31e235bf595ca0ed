/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 cm-agent authors */
/* Host stand-in: number of the highest bit that is set; not defined for 0, as in the kernel. */
#ifndef HOST_LINUX_LOG2_H
#define HOST_LINUX_LOG2_H

#define ilog2(n) (63 - __builtin_clzll(n))

#endif
