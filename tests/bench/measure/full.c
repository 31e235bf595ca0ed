// SPDX-License-Identifier: MIT
/*
 * Allocations while the system has filled the banks with page cache, that of tmpfs.
 *
 * The page allocator takes movable pages from a bank as long as more is free there than elsewhere.
 * So what is elsewhere is filled with pages that never move (ramfs), then the banks, and then as
 * much as the batch will push out is made free elsewhere.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sample.h"
#include "scene.h"

/* Where a ramfs is mounted. */
#define RAMFS		"/run/bench"
/* What the kernel and its programs keep to live on. */
#define LEFT		(16 * MIB)
/* What one peer allocates in a batch, and what is free elsewhere when it begins. */
#define BATCH		(32 * MIB)
#define SPARE		(96 * MIB)
#define MOST		64

static int ballast, spare, cache;

static size_t meminfo(const char *name)
{
	FILE *file = fopen("/proc/meminfo", "re");
	char line[128], key[64];
	size_t kib;

	if (!file)
		err(1, "/proc/meminfo");
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%63[^:]: %zu", key, &kib) != 2 || strcmp(key, name))
			continue;
		fclose(file);
		return kib * KIB;
	}
	errx(1, "/proc/meminfo has no %s", name);
}

static size_t free_elsewhere(void)
{
	return meminfo("MemFree") - meminfo("CmaFree");
}

static size_t free_in_banks(void)
{
	return meminfo("CmaFree");
}

static void append_until(int file, size_t (*unused)(void), size_t left)
{
	static char bytes[MIB];

	while (unused() > left)
		if (write(file, bytes, sizeof(bytes)) != sizeof(bytes))
			err(1, "filling the memory");
}

static int open_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static void empty_file(int fd)
{
	if (ftruncate(fd, 0) || lseek(fd, 0, SEEK_SET))
		err(1, "making memory free");
}

static void fill_banks(void)
{
	empty_file(cache);
	append_until(spare, free_elsewhere, LEFT);
	append_until(cache, free_in_banks, LEFT);
	empty_file(spare);
}

static void run_batch(const struct scene *scene)
{
	int fds[MOST][2], count = BATCH / scene->size;
	int64_t took;

	for (int n = 0; n < count; n++) {
		for (int i = 0; i < 2; i++) {
			int which = (n + i) % 2;

			took = peer_time(scene->peers[which], scene->size, &fds[n][which]);
			sample_add("full", scene->peers[which]->name, scene->size, took,
				   took < 0 ? -took : 0);
		}
	}
	for (int n = 0; n < count; n++)
		for (int i = 0; i < 2; i++)
			peer_free(scene->peers[i], fds[n][i]);
}

void scene_full(const struct scene *scene)
{
	if (scene->count != 2 || BATCH / scene->size > MOST)
		errx(2, "two peers are compared, in batches of at most %d", MOST);
	ballast = open_file(RAMFS "/ballast");
	spare = open_file(RAMFS "/spare");
	cache = memfd_create("cache", MFD_CLOEXEC);
	if (cache < 0)
		err(1, "memfd_create");
	append_until(ballast, free_elsewhere, SPARE + LEFT);
	for (int round = 0; round < scene->rounds; round++) {
		fill_banks();
		run_batch(scene);
	}
	empty_file(ballast);
}
