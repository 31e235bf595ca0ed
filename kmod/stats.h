/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Statistics: counted here, because the kernel's own CMA counters do not see
 * alloc_contig_range(). Locking is the context's.
 */
#ifndef CM_STATS_H
#define CM_STATS_H

#include <uapi/linux/cm.h>

void cm_stats_success(struct cm_stats *stats, u64 size, u64 ns, u32 retries);
void cm_stats_failure(struct cm_stats *stats, enum cm_reason reason,
		      u32 retries);

#endif /* CM_STATS_H */
