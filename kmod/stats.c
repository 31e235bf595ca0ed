// SPDX-License-Identifier: GPL-2.0
/*
 * Statistics: counters and latency histograms of a context.
 */
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/minmax.h>

#include "stats.h"

/* Index of the smallest class or bucket whose bound, base << (step * i), holds value. */
static unsigned int stats_log2_index(u64 value, unsigned int base_shift,
				     unsigned int step, unsigned int count)
{
	unsigned int bits = value > 1 ? ilog2(value - 1) + 1 : 0;

	if (bits <= base_shift)
		return 0;
	return min(DIV_ROUND_UP(bits - base_shift, step), count - 1);
}

/**
 * cm_stats_success() - count a granted allocation
 * @stats:   the counters
 * @size:    bytes
 * @ns:      nanoseconds it took
 * @retries: places that were busy
 */
void cm_stats_success(struct cm_stats *stats, u64 size, u64 ns, u32 retries)
{
	struct cm_latency *latency;

	latency = &stats->latency[stats_log2_index(size, CM_SIZE_CLASS_SHIFT, 2,
					     CM_SIZE_CLASSES)];
	latency->buckets[stats_log2_index(ns, CM_LATENCY_SHIFT, 1,
				    CM_LATENCY_BUCKETS)]++;
	latency->sum_ns += ns;
	stats->attempts++;
	stats->successes++;
	stats->retries += retries;
}

/**
 * cm_stats_failure() - count a refused allocation
 * @stats:   the counters
 * @reason:  why
 * @retries: places that were busy
 */
void cm_stats_failure(struct cm_stats *stats, enum cm_reason reason, u32 retries)
{
	stats->attempts++;
	stats->failures[reason]++;
	stats->retries += retries;
}
