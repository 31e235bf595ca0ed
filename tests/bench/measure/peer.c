// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "context.h"
#include "peer.h"
#include "sample.h"
#include "v4l2.h"

static int private_node, shared_node, cma_heap, system_heap, udmabuf_node;
static char *scratch;
static size_t scratch_size;

char *touched_memory(size_t size)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		err(1, "mmap");
	memset(memory, 1, size);
	return memory;
}

char *peer_map(int fd, size_t size)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		err(1, "mmap of a dma-buf");
	return memory;
}

void ioctl_unknown(int fd)
{
	if (!ioctl(fd, _IO(CM_IOC_MAGIC, 0xff)) || errno != ENOTTY)
		err(1, "an unknown ioctl");
}

static void keep_scratch(size_t size)
{
	if (size <= scratch_size)
		return;
	scratch = touched_memory(size);
	scratch_size = size;
}

static int clear_scratch(size_t size)
{
	memset(scratch, 0, size);
	__asm__ volatile("" : : "r"(scratch) : "memory");
	return 0;
}

static int call_nothing(size_t size)
{
	(void)size;
	ioctl_unknown(private_node);
	return 0;
}

static int alloc_private(size_t size)
{
	return context_alloc(private_node, size);
}

static int alloc_shared(size_t size)
{
	return context_alloc(shared_node, size);
}

static int alloc_of_heap(int heap, size_t size)
{
	struct dma_heap_allocation_data request = {
		.len = size, .fd_flags = O_RDWR | O_CLOEXEC,
	};

	return ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &request) ? -errno : (int)request.fd;
}

static int alloc_cma(size_t size)
{
	return alloc_of_heap(cma_heap, size);
}

static int alloc_system(size_t size)
{
	return alloc_of_heap(system_heap, size);
}

static int alloc_udmabuf(size_t size)
{
	struct udmabuf_create request = { .flags = UDMABUF_FLAGS_CLOEXEC, .size = size };
	int fd;

	request.memfd = memfd_create("bench", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (ftruncate(request.memfd, size) || fcntl(request.memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		err(1, "memfd");
	fd = ioctl(udmabuf_node, UDMABUF_CREATE, &request);
	if (fd < 0)
		fd = -errno;
	close(request.memfd);
	return fd;
}

static void close_it(int fd)
{
	close(fd);
}

/*
 * Pages freed just before are on the CPUs' lists of free pages, which the next allocation from a bank
 * has to empty. No peer is to pay for the pages that another one freed.
 */
static void empty_lists(size_t size)
{
	int fd = alloc_cma(4 * KIB);

	(void)size;
	if (fd < 0)
		errx(1, "CMA heap, a page: %s", strerror(-fd));
	close(fd);
}

static void wait_cold(size_t size)
{
	context_wait_cold();
	empty_lists(size);
}

/* What was taken for this one lingers for the next one. */
static void warm_up(size_t size)
{
	int fd = alloc_shared(size);

	if (fd < 0)
		errx(1, "shared context, %zu bytes: %s", size, strerror(-fd));
	close(fd);
}

static const struct peer peers[] = {
	{ "memset", clear_scratch, NULL, keep_scratch },
	{ "ioctl", call_nothing, NULL, NULL },
	{ "private", alloc_private, close_it, NULL },
	{ "cold", alloc_shared, close_it, wait_cold },
	{ "warm", alloc_shared, close_it, warm_up },
	{ "shared", alloc_shared, close_it, NULL },
	{ "cma", alloc_cma, close_it, empty_lists },
	{ "system", alloc_system, close_it, NULL },
	{ "v4l2", v4l2_alloc, v4l2_free, NULL },
	{ "udmabuf", alloc_udmabuf, close_it, NULL },
};

/* A link may lead to a context of the module: only a real heap is a peer. */
static int open_heap(const char *const *names)
{
	struct stat found;
	char path[64];
	int fd;

	for (; *names; names++) {
		snprintf(path, sizeof(path), "/dev/dma_heap/%s", *names);
		if (lstat(path, &found) || !S_ISCHR(found.st_mode))
			continue;
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			err(1, "%s", path);
		return fd;
	}
	errx(1, "this board has no such heap: %s", names[-1]);
}

static void open_node(int *node, const char *name)
{
	if (!*node)
		*node = context_open(name);
}

static void open_cma_heap(void)
{
	static const char *const names[] = { "default_cma_region", "linux,cma", "reserved", NULL };

	if (!cma_heap)
		cma_heap = open_heap(names);
}

static void peer_open(const char *name)
{
	static const char *const system[] = { "system", NULL };

	if (!strcmp(name, "cma") || !strcmp(name, "cold"))
		open_cma_heap();
	if (!strcmp(name, "private") || !strcmp(name, "ioctl"))
		open_node(&private_node, "private");
	else if (!strcmp(name, "cold") || !strcmp(name, "warm") || !strcmp(name, "shared"))
		open_node(&shared_node, "shared");
	else if (!strcmp(name, "system"))
		system_heap = open_heap(system);
	else if (!strcmp(name, "v4l2"))
		v4l2_open();
	else if (!strcmp(name, "udmabuf") &&
		 (udmabuf_node = open("/dev/udmabuf", O_RDWR | O_CLOEXEC)) < 0)
		err(1, "/dev/udmabuf");
}

const struct peer *peer_find(const char *name)
{
	for (size_t i = 0; i < sizeof(peers) / sizeof(*peers); i++) {
		if (strcmp(peers[i].name, name))
			continue;
		peer_open(name);
		return &peers[i];
	}
	errx(2, "no peer %s", name);
}

int64_t peer_time(const struct peer *peer, size_t size, int *fd)
{
	int64_t begin = now_ns();

	*fd = peer->alloc(size);
	return *fd < 0 ? *fd : now_ns() - begin;
}

void peer_free(const struct peer *peer, int fd)
{
	if (fd >= 0 && peer->free)
		peer->free(fd);
}

void peer_sample(const char *name, const struct peer *peer, size_t size)
{
	int64_t took;
	int fd;

	if (peer->prepare)
		peer->prepare(size);
	took = peer_time(peer, size, &fd);
	sample_add(name, peer->name, size, took, took < 0 ? -took : 0);
	peer_free(peer, fd);
}
