// SPDX-License-Identifier: GPL-2.0
/*
 * Character device: from an ioctl to the call that serves it.
 */
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <uapi/linux/dma-heap.h>

#include "alloc.h"
#include "attest.h"
#include "chardev.h"
#include "compaction.h"
#include "dmabuf.h"
#include "ioctl.h"
#include "layout.h"
#include "owner.h"
#include "pattern.h"
#include "pin.h"
#include "users.h"

/**
 * struct cm_file - one open of a node
 * @ctx:    the context, with a reference
 * @opener: who opened it: a user, whatever their process is
 * @pins:   pins taken through it
 */
struct cm_file {
	struct cm_context *ctx;
	struct cm_owner opener;
	struct cm_pins pins;
};

static int chardev_query(struct cm_call *call)
{
	cm_context_query(call->file->ctx, call->arg);
	return 0;
}

static int chardev_stats(struct cm_call *call)
{
	cm_context_stats(call->file->ctx, call->arg);
	return 0;
}

static bool chardev_alloc_is_clean(const struct cm_alloc *req)
{
	return !memchr_inv(&req->flags, 0, offsetof(struct cm_alloc, owner_pid) -
					   offsetof(struct cm_alloc, flags)) &&
	       req->owner_pid >= 0 && !req->reserved;
}

/* Sets @owner, and reserves the descriptor. */
static int chardev_prepare_alloc(struct cm_call *call, pid_t owner_pid,
				 unsigned int flags, struct cm_owner *owner)
{
	int ret = 0;

	if (READ_ONCE(call->file->ctx->gone))
		return -ENODEV;
	if (owner_pid)
		ret = cm_owner_of_process(owner, owner_pid);
	else
		cm_owner_of_caller(owner, &call->file->opener);
	if (ret)
		return ret;
	call->fd = get_unused_fd_flags(flags);
	return min(call->fd, 0);
}

/* @flags are those of the descriptor: O_CLOEXEC and the access mode. */
static int chardev_allocate(struct cm_call *call, struct cm_alloc *req,
			    unsigned int flags)
{
	struct cm_context *ctx = call->file->ctx;
	struct dma_buf *dmabuf;
	struct cm_owner owner;
	int ret;

	ret = chardev_prepare_alloc(call, req->owner_pid, flags, &owner);
	if (ret) {
		cm_alloc_refuse(ctx, req);
		return ret;
	}
	dmabuf = cm_alloc(ctx, &owner, req, flags & O_ACCMODE);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	call->dmabuf = dmabuf;
	return 0;
}

static int chardev_alloc(struct cm_call *call)
{
	struct cm_alloc *req = call->arg;
	bool clean = chardev_alloc_is_clean(req);
	int ret;

	req->fd = -1;
	if (!clean) {
		cm_alloc_refuse(call->file->ctx, req);
		return -EINVAL;
	}
	ret = chardev_allocate(call, req, O_RDWR | O_CLOEXEC);
	if (!ret)
		req->fd = call->fd;
	return ret;
}

/* The kernel's heaps have one error for memory that they cannot get. */
static int chardev_heap_errno(int error)
{
	return error == -EBUSY || error == -ETIMEDOUT ? -ENOMEM : error;
}

static int chardev_heap_alloc(struct cm_call *call)
{
	struct dma_heap_allocation_data *data = call->arg;
	struct cm_alloc req = { .size = PAGE_ALIGN(data->len) };
	int ret;

	if (data->fd || data->heap_flags ||
	    data->fd_flags & ~(O_CLOEXEC | O_ACCMODE)) {
		cm_alloc_refuse(call->file->ctx, &req);
		return -EINVAL;
	}
	ret = chardev_allocate(call, &req, data->fd_flags);
	if (!ret)
		data->fd = call->fd;
	return chardev_heap_errno(ret);
}

static int chardev_free(struct cm_call *call)
{
	struct cm_free *req = call->arg;
	struct dma_buf *dmabuf;
	int ret;

	if (req->flags)
		return -EINVAL;
	dmabuf = cm_dmabuf_get(call->file->ctx, req->fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	if (cm_chunk_belongs_to(dmabuf->priv, &call->file->opener))
		ret = cm_dmabuf_free(dmabuf->priv);
	else
		ret = -EPERM;
	dma_buf_put(dmabuf);
	return ret;
}

static int chardev_pin(struct cm_call *call)
{
	struct cm_pin *req = call->arg;
	struct dma_buf *dmabuf;
	int ret;

	if (req->flags || req->address || req->size)
		return -EINVAL;
	dmabuf = cm_dmabuf_get(call->file->ctx, req->fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	ret = cm_pin_take(&call->file->pins, dmabuf, req);
	if (ret)
		dma_buf_put(dmabuf);
	else
		call->pinned = dmabuf;
	return ret;
}

static int chardev_unpin(struct cm_call *call)
{
	struct cm_unpin *req = call->arg;
	struct dma_buf *dmabuf;
	int ret;

	if (req->flags)
		return -EINVAL;
	dmabuf = cm_dmabuf_get(call->file->ctx, req->fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	ret = cm_pin_give(&call->file->pins, dmabuf);
	dma_buf_put(dmabuf);
	return ret;
}

static int chardev_info(struct cm_call *call)
{
	struct cm_info *req = call->arg;
	struct dma_buf *dmabuf;
	int ret;

	if (req->flags ||
	    memchr_inv(&req->id, 0, sizeof(*req) - offsetof(struct cm_info, id)))
		return -EINVAL;
	dmabuf = cm_dmabuf_get(call->file->ctx, req->fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);

	ret = cm_chunk_info(dmabuf->priv, req);
	spin_lock(&dmabuf->name_lock);
	if (dmabuf->name)
		strscpy(req->name, dmabuf->name, sizeof(req->name));
	spin_unlock(&dmabuf->name_lock);
	dma_buf_put(dmabuf);
	return ret;
}

static int chardev_attest(struct cm_call *call)
{
	struct cm_attest *req = call->arg;

	if (req->flags ||
	    memchr_inv(&req->run_count, 0,
		       sizeof(*req) - offsetof(struct cm_attest, run_count)))
		return -EINVAL;
	return cm_attest(req);
}

static int chardev_pattern(struct cm_call *call)
{
	struct cm_pattern *req = call->arg;

	if (memchr_inv(&req->matched, 0,
		       sizeof(*req) - offsetof(struct cm_pattern, matched)))
		return -EINVAL;
	return cm_pattern(req);
}

static int chardev_compact(struct cm_call *call)
{
	struct cm_compact *req = call->arg;

	if (req->flags ||
	    memchr_inv(&req->reason, 0,
		       sizeof(*req) - offsetof(struct cm_compact, reason))) {
		req->reason = CM_REASON_INVALID;
		return -EINVAL;
	}
	if (READ_ONCE(call->file->ctx->gone))
		return -ENODEV;
	return cm_compact(call->file->ctx, req);
}

static int chardev_layout(struct cm_call *call)
{
	struct cm_layout *req = call->arg;

	if (req->flags || req->count || req->reserved ||
	    (req->capacity && !req->entries))
		return -EINVAL;
	return cm_layout(call->file->ctx, &call->file->opener, req);
}

static int chardev_users(struct cm_call *call)
{
	struct cm_users *req = call->arg;

	if (req->flags || req->count || req->reserved ||
	    (req->capacity && !req->entries))
		return -EINVAL;
	return cm_users(call->file->ctx, &call->file->opener, req);
}

static const struct cm_ioctl cm_ioctls[] = {
	CM_IOCTL(QUERY, cm_query, version, false, chardev_query),
	CM_IOCTL(ALLOC, cm_alloc, reserved, true, chardev_alloc),
	CM_IOCTL(FREE, cm_free, flags, false, chardev_free),
	CM_IOCTL(PIN, cm_pin, size, false, chardev_pin),
	CM_IOCTL(UNPIN, cm_unpin, flags, false, chardev_unpin),
	CM_IOCTL(INFO, cm_info, name, false, chardev_info),
	CM_IOCTL(ATTEST, cm_attest, context, false, chardev_attest),
	CM_IOCTL(PATTERN, cm_pattern, reserved, false, chardev_pattern),
	CM_IOCTL(STATS, cm_stats, lent, false, chardev_stats),
	CM_IOCTL(COMPACT, cm_compact, largest_hole, true, chardev_compact),
	CM_IOCTL(LAYOUT, cm_layout, reserved, false, chardev_layout),
	CM_IOCTL(USERS, cm_users, reserved, false, chardev_users),
	{
		.cmd = DMA_HEAP_IOCTL_ALLOC,
		/* A shorter structure has no room for the descriptor. */
		.first_size = offsetofend(struct dma_heap_allocation_data, fd),
		.serve = chardev_heap_alloc,
		.ignores_tail = true,
	},
};

/* Last, because an installed descriptor cannot be taken back. */
static void chardev_finish_alloc(struct cm_call *call, int ret)
{
	if (!ret) {
		fd_install(call->fd, call->dmabuf->file);
		return;
	}
	if (call->dmabuf)
		dma_buf_put(call->dmabuf);
	put_unused_fd(call->fd);
}

static void chardev_finish_pin(struct cm_call *call, int ret)
{
	if (ret)
		cm_pin_give(&call->file->pins, call->pinned);
	dma_buf_put(call->pinned);
}

static long cm_chardev_ioctl(struct file *file, unsigned int cmd,
			     unsigned long param)
{
	struct cm_call call = { .file = file->private_data, .fd = -1 };
	int ret;

	ret = cm_ioctl(cm_ioctls, ARRAY_SIZE(cm_ioctls), cmd, param, &call);
	if (call.fd >= 0)
		chardev_finish_alloc(&call, ret);
	if (call.pinned)
		chardev_finish_pin(&call, ret);
	return ret;
}

static int cm_chardev_open(struct inode *inode, struct file *file)
{
	struct cm_context *ctx = container_of(inode->i_cdev, struct cm_context,
					      cdev);
	struct cm_file *cf = kzalloc(sizeof(*cf), GFP_KERNEL);

	if (!cf)
		return -ENOMEM;
	cm_pins_init(&cf->pins);
	cm_owner_of_file(&cf->opener, file);
	get_device(&ctx->dev);
	cf->ctx = ctx;
	file->private_data = cf;
	return stream_open(inode, file);
}

static int cm_chardev_release(struct inode *inode, struct file *file)
{
	struct cm_file *cf = file->private_data;

	cm_pins_drop(&cf->pins);
	put_device(&cf->ctx->dev);
	kfree(cf);
	return 0;
}

const struct file_operations cm_chardev_fops = {
	.owner = THIS_MODULE,
	.open = cm_chardev_open,
	.release = cm_chardev_release,
	.unlocked_ioctl = cm_chardev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};
