/* SPDX-License-Identifier: MIT */
/* Peers: the ways to get memory, and what they are compared with. */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stddef.h>
#include <stdint.h>

#define KIB	((size_t)1 << 10)
#define MIB	((size_t)1 << 20)

/*
 * alloc() is what is measured: it returns a dma-buf, or -errno. What is no allocation returns 0
 * and has no free(). prepare() brings the peer into the state that its name says.
 */
struct peer {
	const char *name;
	int (*alloc)(size_t size);
	void (*free)(int fd);
	void (*prepare)(size_t size);
};

/* Exits when there is no such peer, or the board has not what it needs. */
const struct peer *peer_find(const char *name);

/* Nanoseconds of one alloc(), or -errno; sets *fd. */
int64_t peer_time(const struct peer *peer, size_t size, int *fd);

void peer_free(const struct peer *peer, int fd);

/* Adds a sample of one alloc(), and frees what it gave. */
void peer_sample(const char *name, const struct peer *peer, size_t size);

/* A shared mapping that is not touched yet. */
char *peer_map(int fd, size_t size);

/* A private mapping of @size bytes, touched. */
char *touched_memory(size_t size);

/* An ioctl number that nobody knows, on the node of the context. */
void ioctl_unknown(int fd);

#endif
