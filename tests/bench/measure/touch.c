// SPDX-License-Identifier: MIT
/* What the CPU waits for when it uses a buffer: the first touch of each page, and SYNC. */
#include <err.h>
#include <linux/dma-buf.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sample.h"
#include "scene.h"

static int64_t touch(volatile char *memory, size_t size)
{
	long page = sysconf(_SC_PAGESIZE);
	int64_t begin = now_ns();

	for (size_t at = 0; at < size; at += page)
		memory[at] = 1;
	return now_ns() - begin;
}

static int alloc_buffer(const struct peer *peer, size_t size)
{
	int fd;

	if (peer_time(peer, size, &fd) < 0)
		errx(1, "%s, %zu bytes: %s", peer->name, size, strerror(-fd));
	return fd;
}

static void sample_touch(const struct peer *peer, size_t size)
{
	int fd = alloc_buffer(peer, size);
	char *memory = peer_map(fd, size);

	sample_add("touch", peer->name, size, touch(memory, size), 0);
	munmap(memory, size);
	peer_free(peer, fd);
}

/* A peer that allocates nothing is itself what others are compared with. */
void scene_touch(const struct scene *scene)
{
	for (int round = 0; round < scene->rounds; round++) {
		for (int i = 0; i < scene->count; i++) {
			const struct peer *peer = scene->peers[(round + i) % scene->count];

			if (peer->free)
				sample_touch(peer, scene->size);
			else
				peer_sample("touch", peer, scene->size);
		}
	}
}

static void sync_cpu(int fd, __u64 when)
{
	struct dma_buf_sync sync = { .flags = when | DMA_BUF_SYNC_RW };

	if (ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync))
		err(1, "DMA_BUF_IOCTL_SYNC");
}

static void sample_sync(const struct peer *peer, int fd, size_t size)
{
	int64_t begin = now_ns();

	sync_cpu(fd, DMA_BUF_SYNC_START);
	sync_cpu(fd, DMA_BUF_SYNC_END);
	sample_add("sync", peer->name, size, now_ns() - begin, 0);
}

/* Buffers that the CPU has written, and that no device has ever seen. */
void scene_sync(const struct scene *scene)
{
	int fds[sizeof(scene->peers) / sizeof(*scene->peers)];

	for (int i = 0; i < scene->count; i++) {
		char *memory;

		if (!scene->peers[i]->free)
			continue;
		fds[i] = alloc_buffer(scene->peers[i], scene->size);
		memory = peer_map(fds[i], scene->size);
		memset(memory, 1, scene->size);
		munmap(memory, scene->size);
	}
	for (int round = 0; round < scene->rounds; round++) {
		for (int i = 0; i < scene->count; i++) {
			const struct peer *peer = scene->peers[i];

			if (peer->free)
				sample_sync(peer, fds[i], scene->size);
			else
				peer_sample("sync", peer, scene->size);
		}
	}
}
