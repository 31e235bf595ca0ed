/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 cm-agent authors */
/* Host stand-in: nobody waits for the CPU. */
#ifndef HOST_LINUX_SCHED_H
#define HOST_LINUX_SCHED_H

static inline void cond_resched(void)
{
}

#endif
