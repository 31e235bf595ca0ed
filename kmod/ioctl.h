/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Ioctl: carrying structures that grow in and out.
 */
#ifndef CM_IOCTL_H
#define CM_IOCTL_H

#include <linux/stddef.h>
#include <linux/types.h>

struct cm_file;
struct dma_buf;

/**
 * struct cm_call - an ioctl being served
 * @file:   through which, NULL for the control node
 * @arg:    the structure, of the kernel's size
 * @fd:     descriptor reserved for @dmabuf, or -1
 * @dmabuf: to be installed once the caller has been told its number
 * @pinned: was pinned once more, unless the caller cannot be told where
 */
struct cm_call {
	struct cm_file *file;
	void *arg;
	int fd;
	struct dma_buf *dmabuf;
	struct dma_buf *pinned;
};

/**
 * struct cm_ioctl - how a call is served
 * @cmd:             its number, with today's size
 * @first_size:      size of the structure in the first version of the ABI
 * @reports_failure: the structure says why it failed, so copy it back then
 * @serve:           serves it
 * @ignores_tail:    what a longer structure has at its end is not looked at
 */
struct cm_ioctl {
	unsigned int cmd;
	size_t first_size;
	bool reports_failure;
	int (*serve)(struct cm_call *call);
	bool ignores_tail;
};

/* @last is the last member that the first version of the structure had. */
#define CM_IOCTL(name, type, last, ...)					\
	{ CM_IOC_##name, offsetofend(struct type, last), __VA_ARGS__ }

int cm_ioctl(const struct cm_ioctl *table, size_t count, unsigned int cmd,
	     unsigned long param, struct cm_call *call);

#endif /* CM_IOCTL_H */
