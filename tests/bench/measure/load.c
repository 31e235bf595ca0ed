// SPDX-License-Identifier: MIT
/* How much of what is free after a random load of 75 % can be had in one piece, and how fast. */
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "context.h"
#include "sample.h"
#include "scene.h"

#define CHUNKS		4000
#define LARGEST_SHIFT	21
#define PAGE_SHIFT	12
#define FAILURES	8
#define COPY		(32 * MIB)

struct load {
	const struct peer *peer;
	int count;
	size_t used;
	struct {
		int fd;
		size_t size;
	} chunks[CHUNKS];
};

static struct load load;

/* From a page to 2 MiB, as many small ones as large ones. */
static size_t random_size(void)
{
	int shift = PAGE_SHIFT + rand() % (LARGEST_SHIFT - PAGE_SHIFT);

	return ((size_t)1 << shift) + (rand() % (1 << (shift - PAGE_SHIFT)) << PAGE_SHIFT);
}

static void fill_up(void)
{
	int failures = 0;

	load.used = 0;
	load.count = 0;
	while (failures < FAILURES && load.count < CHUNKS) {
		size_t size = random_size();
		int fd = load.peer->alloc(size);

		if (fd < 0) {
			failures++;
			continue;
		}
		load.chunks[load.count].fd = fd;
		load.chunks[load.count++].size = size;
		load.used += size;
	}
}

static void free_chunk(int index)
{
	load.used -= load.chunks[index].size;
	peer_free(load.peer, load.chunks[index].fd);
	load.chunks[index] = load.chunks[--load.count];
}

static void free_down_to(size_t most)
{
	while (load.used > most)
		free_chunk(rand() % load.count);
}

static void sample_copy(const char *peer, size_t size)
{
	static char *from, *to;
	int64_t begin;

	if (!from) {
		from = touched_memory(COPY);
		to = touched_memory(COPY);
	}
	begin = now_ns();
	for (size_t left = size; left; left -= left < COPY ? left : COPY)
		memcpy(to, from, left < COPY ? left : COPY);
	__asm__ volatile("" : : "r"(to) : "memory");
	sample_add("load-copy", peer, 0, now_ns() - begin, 0);
}

static void sample_compaction(const char *peer, int node)
{
	struct cm_compact request = { .size = context_query(node).free, .deadline_ns = 60000000000 };
	int64_t begin = now_ns();
	int error = ioctl(node, CM_IOC_COMPACT, &request) ? errno : 0;

	sample_add("load", peer, 0, now_ns() - begin, error);
	sample_add("load-free", peer, 0, request.free, error);
	sample_add("load-hole", peer, 0, request.largest_hole, error);
	sample_add("load-moved", peer, 0, request.moved_bytes, error);
	if (!error)
		sample_copy(peer, request.moved_bytes);
}

/* Of a heap nobody can ask what its largest hole is: the largest that it gives, to a page. */
static void sample_largest(size_t whole)
{
	size_t low = 0, high = (whole - load.used) >> PAGE_SHIFT;

	sample_add("load-free", load.peer->name, 0, whole - load.used, 0);
	while (low < high) {
		size_t middle = (low + high + 1) / 2;
		int fd = load.peer->alloc(middle << PAGE_SHIFT);

		if (fd < 0) {
			high = middle - 1;
			continue;
		}
		peer_free(load.peer, fd);
		low = middle;
	}
	sample_add("load-hole", load.peer->name, 0, low << PAGE_SHIFT, 0);
}

static void run_load(const struct peer *peer)
{
	bool is_context = strcmp(peer->name, "cma");
	int node = is_context ? context_open(peer->name) : -1;
	size_t whole;

	load.peer = peer;
	fill_up();
	whole = is_context ? context_query(node).size : load.used;
	free_down_to(whole / 4 * 3);
	if (is_context)
		sample_compaction(peer->name, node);
	else
		sample_largest(whole);
	free_down_to(0);
	if (is_context)
		close(node);
}

void scene_load(const struct scene *scene)
{
	struct rlimit files = { 2 * CHUNKS, 2 * CHUNKS };

	if (setrlimit(RLIMIT_NOFILE, &files))
		err(1, "RLIMIT_NOFILE");
	srand(1);
	for (int round = 0; round < scene->rounds; round++)
		for (int i = 0; i < scene->count; i++)
			run_load(scene->peers[i]);
}
