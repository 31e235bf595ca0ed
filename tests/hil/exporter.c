// SPDX-License-Identifier: MIT
/*
 * Preloaded into a program, for test_compliance.py: where a V4L2 driver exports a buffer of its
 * own, the program gets a chunk of the context $CM_CONTEXT instead, as large. What the driver
 * refuses stays refused. It never falls back: without a chunk the program ends.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <err.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <linux/cm.h>

typedef int (*ioctl_t)(int fd, unsigned long request, void *argument);

static int allocate(ioctl_t real, off_t size)
{
	struct cm_alloc request = { .size = size };
	int node = open(getenv("CM_CONTEXT"), O_RDWR | O_CLOEXEC);

	if (node < 0 || real(node, CM_IOC_ALLOC, &request))
		err(99, "a chunk of %lld bytes of %s", (long long)size, getenv("CM_CONTEXT"));
	close(node);
	return request.fd;
}

static void replace(ioctl_t real, const struct v4l2_exportbuffer *exported)
{
	off_t size = lseek(exported->fd, 0, SEEK_END);
	int chunk = allocate(real, size);

	if (dup3(chunk, exported->fd, exported->flags & O_CLOEXEC) < 0)
		err(99, "dup3");
	close(chunk);
}

int ioctl(int fd, unsigned long request, ...)
{
	ioctl_t real = (ioctl_t)dlsym(RTLD_NEXT, "ioctl");
	void *argument;
	va_list rest;
	int ret;

	va_start(rest, request);
	argument = va_arg(rest, void *);
	va_end(rest);
	ret = real(fd, request, argument);
	if (!ret && request == VIDIOC_EXPBUF)
		replace(real, argument);
	return ret;
}
