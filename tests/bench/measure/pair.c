// SPDX-License-Identifier: MIT
/* How much more two threads allocate from two private contexts than one thread from one. */
#define _GNU_SOURCE
#include <err.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "context.h"
#include "sample.h"
#include "scene.h"

#define SLICE_NS	INT64_C(200000000)
#define CONTEXTS	2

struct side {
	pthread_t thread;
	int node;
	size_t size;
	long allocated;
	pthread_barrier_t *begin;
};

static void *alloc_and_free(void *argument)
{
	struct side *side = argument;
	int64_t begin;
	int fd;

	pthread_barrier_wait(side->begin);
	begin = now_ns();
	for (side->allocated = 0; now_ns() - begin < SLICE_NS; side->allocated++) {
		fd = context_alloc(side->node, side->size);
		if (fd < 0)
			errx(1, "%zu bytes: %s", side->size, strerror(-fd));
		close(fd);
	}
	return NULL;
}

/* Allocations a second of @count contexts together. */
static void sample_sides(const char *name, const char *peer, struct side *sides, int count)
{
	pthread_barrier_t begin;
	long sum = 0;

	pthread_barrier_init(&begin, NULL, count);
	for (int i = 0; i < count; i++) {
		sides[i].begin = &begin;
		if (pthread_create(&sides[i].thread, NULL, alloc_and_free, &sides[i]))
			errx(1, "no thread");
	}
	for (int i = 0; i < count; i++) {
		pthread_join(sides[i].thread, NULL);
		sum += sides[i].allocated;
	}
	pthread_barrier_destroy(&begin);
	sample_add(name, peer, sides->size, sum * 1e9 / SLICE_NS, 0);
}

void scene_pair(const struct scene *scene)
{
	struct side sides[CONTEXTS] = {
		{ .node = context_open("private"), .size = scene->size },
		{ .node = context_open("second"), .size = scene->size },
	};

	for (int round = 0; round < scene->rounds; round++) {
		sample_sides("alone", "private", &sides[0], 1);
		sample_sides("together", "private", sides, CONTEXTS);
		sample_sides("alone", "private", &sides[1], 1);
	}
}
