/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pool: the memory of a context: what is taken from the system, what of that is
 * occupied.
 */
#ifndef CM_POOL_H
#define CM_POOL_H

#include <linux/spinlock.h>

#include "bank.h"
#include "cleaner.h"
#include "linger.h"
#include "placement.h"

struct cm_deadline;
struct cm_refusal;
struct cm_spec;

/* Whether taking memory may succeed elsewhere, or later, after this error. */
static inline bool cm_pool_is_stuck(int error)
{
	return error == -EBUSY || error == -ENOMEM;
}

/**
 * struct cm_pool - the memory of a context
 * @name:       of the context
 * @bank:       where it lies; NULL granules when there is none (any more)
 * @private:    every granule was taken at creation, and stays
 * @granule_ns: estimated nanoseconds to take a granule; for the queue only
 * @linger:     gives back granules that are empty
 * @cleaner:    clears what is free
 */
struct cm_pool {
	const char *name;
	struct cm_bank bank;
	bool private;
	u64 granule_ns;
	struct cm_linger linger;
	struct cm_cleaner cleaner;

	/**
	 * @lock: protects @map and the granules of @bank, and what the context
	 * counts. A spinlock, so that nobody who has it can lose the CPU:
	 * anybody may have a low priority, or hardly any CPU time.
	 */
	spinlock_t lock;
	/** @map: which pages are occupied; of no size when there is no memory */
	struct cm_placement map;
};

void cm_pool_prepare(struct cm_pool *pool);
int cm_pool_open(struct cm_pool *pool, const struct cm_spec *spec,
		 struct cm_refusal *why);
void cm_pool_close(struct cm_pool *pool);

int cm_pool_take(struct cm_pool *pool, unsigned long start, unsigned long count,
		 const struct cm_deadline *deadline);
void cm_pool_remove(struct cm_pool *pool, struct cm_extent *extent);
void cm_pool_keep(struct cm_pool *pool, unsigned long start,
		  unsigned long count);
void cm_pool_usage(const struct cm_pool *pool, u64 *held, u64 *lent);

#endif /* CM_POOL_H */
