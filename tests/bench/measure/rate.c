// SPDX-License-Identifier: MIT
/* How often memory is allocated and freed again, and what that costs a process on another CPU. */
#define _GNU_SOURCE
#include <err.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "context.h"
#include "sample.h"
#include "scene.h"

#define SLICE_NS	INT64_C(50000000)
#define LONG_SLICE_NS	INT64_C(400000000)

static atomic_int stopped;
static atomic_long counted;

static void stay_on(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		err(1, "CPU %d", cpu);
}

static void alloc_and_free(const struct peer *peer, size_t size)
{
	int fd;

	if (peer_time(peer, size, &fd) < 0)
		errx(1, "%s, %zu bytes: %s", peer->name, size, strerror(-fd));
	peer_free(peer, fd);
}

/* Nanoseconds that one allocation took with its freeing, on the average of a slice. */
void scene_rate(const struct scene *scene)
{
	for (int round = 0; round < scene->rounds; round++) {
		for (int i = 0; i < scene->count; i++) {
			const struct peer *peer = scene->peers[(round + i) % scene->count];
			int64_t begin = now_ns(), now;
			long n = 0;

			do {
				alloc_and_free(peer, scene->size);
				now = now_ns();
				n++;
			} while (now - begin < SLICE_NS);
			sample_add("rate", peer->name, scene->size, (now - begin) / n, 0);
		}
	}
}

static void *count(void *unused)
{
	stay_on(1);
	while (!stopped)
		atomic_fetch_add_explicit(&counted, 1, memory_order_relaxed);
	return unused;
}

/* A slice: what was counted on the other CPU in a second, and what was allocated in one. */
static void sample_background(const struct peer *peer, size_t size)
{
	int64_t begin, took;
	long before, n = 0;

	if (peer->prepare)
		peer->prepare(size);
	before = counted;
	begin = now_ns();
	do {
		alloc_and_free(peer, size);
		took = now_ns() - begin;
		n++;
	} while (took < LONG_SLICE_NS);
	sample_add("counted", peer->name, size, (counted - before) * 1e9 / took, 0);
	sample_add("allocated", peer->name, size, n * 1e9 / took, 0);
}

void scene_background(const struct scene *scene)
{
	pthread_t thread;

	stay_on(0);
	if (pthread_create(&thread, NULL, count, NULL))
		errx(1, "no thread");
	for (int round = 0; round < scene->rounds; round++)
		for (int i = 0; i < scene->count; i++)
			sample_background(scene->peers[(round + i) % scene->count], scene->size);
	stopped = 1;
	pthread_join(thread, NULL);
}
