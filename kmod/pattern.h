/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pattern: proof that the kernel and user space look at the same memory.
 */
#ifndef CM_PATTERN_H
#define CM_PATTERN_H

struct cm_pattern;

int cm_pattern(struct cm_pattern *req);

#endif /* CM_PATTERN_H */
