/* SPDX-License-Identifier: MIT */
/* Contexts of the module: their nodes, and when a shared one has taken nothing. */
#ifndef BENCH_CONTEXT_H
#define BENCH_CONTEXT_H

#include <linux/cm.h>
#include <stddef.h>

/* The node of a context; exits when there is none. */
int context_open(const char *name);

/* A chunk, or -errno. */
int context_alloc(int node, size_t size);

struct cm_query context_query(int node);

/* Waits until the context `shared`, in which there is no chunk, has given all of it back. */
void context_wait_cold(void);

#endif
