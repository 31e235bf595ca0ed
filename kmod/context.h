/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Context: a named pool over one bank, with its own node /dev/cm/<name>.
 */
#ifndef CM_CONTEXT_H
#define CM_CONTEXT_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/workqueue.h>

#include <uapi/linux/cm.h>

#include "pool.h"
#include "quota.h"

#define CM_MODULE_VERSION	"0.1.0"

struct cm_refusal;
struct cm_request;
struct cm_spec;

/**
 * struct cm_context - a context
 * @dev:         the class device; its reference count is the context's
 * @cdev:        the node
 * @node:        in the list of all contexts
 * @pool:        its memory
 * @min_align:   page frames, a power of two
 * @gone:        its node is; nothing more is allocated
 * @queue:       ordered: what takes granules or moves chunks runs here, one after
 *               the other
 * @drain_work:  gives back chunks once nobody holds their pages
 * @free_work:   the end of the context
 * @compactions: number of compactions so far; for @queue only
 * @compacting:  the one CM_IOC_COMPACT that may have a plan
 * @quotas:      what users may have, and have; with a lock of its own
 * @chunks:      number of chunks whose descriptors are alive
 * @pinned:      page frames of chunks that are pinned or mapped by drivers
 * @draining:    page frames of freed chunks that somebody still holds
 * @drains:      those chunks
 * @drain_delay: jiffies until they are looked at again
 * @stats:       counters, but for @held and @lent, which are of an instant
 *
 * From @chunks on, and @gone: for &cm_pool.lock. Lock order: a file's
 * &cm_pins.lock, mmap_lock and the dma_resv lock, &cm_chunk.lock, then
 * &cm_chunk.sync_lock, the mapping's i_mmap_rwsem or &cm_pool.lock, and
 * &cm_quotas.lock.
 */
struct cm_context {
	struct device dev;
	struct cdev cdev;
	struct list_head node;
	struct cm_pool pool;
	unsigned long min_align;
	bool gone;
	struct workqueue_struct *queue;
	struct delayed_work drain_work;
	struct delayed_work free_work;
	u64 compactions;
	struct cm_request *compacting;
	struct cm_quotas quotas;

	unsigned int chunks;
	unsigned long pinned;
	unsigned long draining;
	struct list_head drains;
	unsigned long drain_delay;
	struct cm_stats stats;
};

static inline void cm_context_lock(struct cm_context *ctx)
	__acquires(&ctx->pool.lock)
{
	spin_lock(&ctx->pool.lock);
}

static inline void cm_context_unlock(struct cm_context *ctx)
	__releases(&ctx->pool.lock)
{
	spin_unlock(&ctx->pool.lock);
}

void cm_context_exit(void);

struct cm_context *cm_context_new(const struct cm_spec *spec, work_func_t drain,
				  struct cm_refusal *why);
int cm_context_retire(struct cm_context *ctx);
void cm_context_enlist(struct cm_context *ctx);
void cm_context_delist(struct cm_context *ctx);
struct cm_context *cm_context_find(const char *name);
struct cm_context *cm_context_any(bool (*match)(struct cm_context *ctx,
						const void *data),
				  const void *data);

void cm_context_space(struct cm_context *ctx, u64 *free, u64 *largest_hole);
void cm_context_stats(struct cm_context *ctx, struct cm_stats *stats);
void cm_context_query(struct cm_context *ctx, struct cm_query *query);
bool cm_context_holding(u64 first, u64 last, char *name);

#endif /* CM_CONTEXT_H */
