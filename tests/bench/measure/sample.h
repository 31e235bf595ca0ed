/* SPDX-License-Identifier: MIT */
/* Samples: kept in memory while there is something to measure, and printed in the end. */
#ifndef BENCH_SAMPLE_H
#define BENCH_SAMPLE_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Before anything is measured, so that no sample waits for a page of its own. */
void samples_prepare(void);

/* Name and peer are not copied. An error is an errno, and its value means nothing. */
void sample_add(const char *name, const char *peer, size_t size, int64_t value, int error);

void samples_print(void);

static inline int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

#endif
