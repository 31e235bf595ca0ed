/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Context: a named pool over one bank, with its own node /dev/cm/<name>.
 */
#ifndef CM_CONTEXT_H
#define CM_CONTEXT_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/mutex.h>
#include <linux/uidgid.h>
#include <linux/workqueue.h>

#include <uapi/linux/cm.h>

#include "bank.h"
#include "placement.h"
#include "stats.h"

#define CM_MODULE_VERSION	"0.1.0"
#define CM_CONTEXT_DEVICE	"cm-context"

/**
 * struct cm_context - a context
 * @dev:         the class device; its reference count is the context's
 * @cdev:        the node
 * @node:        in the list of all contexts
 * @bank:        where its memory lies
 * @dma_dev:     the device that CPU access is synced for when nothing imports
 * @min_align:   page frames, a power of two
 * @private:     the whole bank was taken at creation
 * @gone:        its node is; nothing more is allocated
 * @compacting:  held while chunks move
 * @compactions: number of those who held it
 * @map:         which pages are taken
 * @quotas:      what users may have
 * @chunks:      number of chunks whose descriptors are alive
 * @pinned:      page frames of chunks that must not move
 * @draining:    page frames of freed chunks that somebody still holds pages of
 * @drains:      those chunks, and what is spare and on its way back
 * @drain_work:  looks after @drains
 * @stats:       counters
 *
 * Lock order: @compacting; &cm_bank.migrating or &cm_chunk.lock, but never
 * both; @lock. mmap_lock and dma_resv lock come before a chunk's, the mapping's
 * i_mmap_rwsem behind it.
 */
struct cm_context {
	struct device dev;
	struct cdev cdev;
	struct list_head node;
	struct cm_bank bank;
	struct device *dma_dev;
	unsigned long min_align;
	bool private;
	bool gone;

	struct cm_turn compacting;
	u64 compactions;

	/**
	 * @lock: protects everything below; held briefly, never while pages
	 * migrate, are zeroed, or while user memory is touched
	 */
	struct mutex lock;
	struct cm_placement map;
	struct list_head quotas;
	unsigned long chunks;
	unsigned long pinned;
	unsigned long draining;
	struct list_head drains;
	struct delayed_work drain_work;
	struct cm_stats stats;
};

int cm_context_init(void);
void cm_context_exit(void);

int cm_context_destroy(const char *name);
int cm_context_set_quota(const char *name, kuid_t uid, u64 bytes);
void cm_context_room(struct cm_context *ctx, u64 *free, u64 *largest_hole);
void cm_context_query(struct cm_context *ctx, struct cm_query *query);
bool cm_context_holding(u64 first, u64 last, char *name);

#endif /* CM_CONTEXT_H */
