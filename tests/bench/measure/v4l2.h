/* SPDX-License-Identifier: MIT */
/* Buffers of videobuf2, by the driver vivid: MMAP and EXPBUF. */
#ifndef BENCH_V4L2_H
#define BENCH_V4L2_H

#include <stddef.h>

/* Finds the driver's capture node; exits when there is none. */
void v4l2_open(void);

/* A dma-buf, or -errno; one at a time. */
int v4l2_alloc(size_t size);

void v4l2_free(int fd);

#endif
