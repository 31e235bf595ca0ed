// SPDX-License-Identifier: GPL-2.0
/*
 * Linger: an empty granule of a shared context is kept for a while, since the
 * next chunk may need one, and taking it costs far more than a hole.
 */
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>

#include "background.h"
#include "linger.h"

static int linger_set_ms(const char *text, const struct kernel_param *param)
{
	return param_set_uint_minmax(text, param, 0, 60000);
}

static const struct kernel_param_ops linger_ms_ops = {
	.set = linger_set_ms,
	.get = param_get_uint,
};

static unsigned int linger_ms = 1000;
module_param_cb(linger_ms, &linger_ms_ops, &linger_ms, 0644);
MODULE_PARM_DESC(linger_ms,
		 "how long an empty granule of a shared context is kept, 0 to 60000 ms (1000)");

static u64 linger_ns(void)
{
	return (u64)READ_ONCE(linger_ms) * NSEC_PER_MSEC;
}

/*
 * Called with the lock held, so that it cannot run after cm_linger_close(). It
 * looks every second at the latest: the time may have been made shorter.
 */
static void linger_later(struct cm_linger *linger, u64 ns)
{
	lockdep_assert_held(linger->lock);
	if (linger->map->count && !delayed_work_pending(&linger->work))
		cm_background_later(&linger->work,
				    nsecs_to_jiffies(min_t(u64, ns, NSEC_PER_SEC)) + 1);
}

/**
 * cm_linger_begin() - see to it that granules that became empty go back
 * @linger: of a shared pool, its lock held
 */
void cm_linger_begin(struct cm_linger *linger)
{
	linger_later(linger, linger_ns());
}

/*
 * Give back a granule that has been empty since @before or longer; U64_MAX for
 * any. Return: its page frames, or sets *@next to when it was emptied.
 */
static unsigned long linger_give_granule(struct cm_linger *linger,
					 unsigned long index, u64 before,
					 u64 *next)
{
	struct cm_bank *bank = linger->map->bank;
	struct cm_granule *granule = &bank->granules[index];
	unsigned long start = bank->start + (index << bank->order);
	unsigned long count = 0;

	spin_lock(linger->lock);
	if (granule->taken && !granule->users && granule->since > before) {
		*next = min(*next, granule->since);
	} else if (granule->taken && !granule->users) {
		count = cm_bank_granule_end(bank, start) - start;
		cm_bank_give(bank, start, count);
		*granule = (struct cm_granule){ 0 };
	}
	spin_unlock(linger->lock);
	return count;
}

static unsigned long linger_give(struct cm_linger *linger, u64 before,
				 u64 *next, unsigned long most)
{
	unsigned long i, given = 0;

	for (i = 0; i < linger->map->bank->granule_count && given < most; i++) {
		given += linger_give_granule(linger, i, before, next);
		cond_resched();
	}
	return given;
}

static void linger_work(struct work_struct *work)
{
	struct cm_linger *linger = container_of(to_delayed_work(work),
						struct cm_linger, work);
	u64 next = U64_MAX, now = ktime_get_ns(), ns = linger_ns();

	linger_give(linger, now - min(now, ns), &next, ULONG_MAX);
	if (next == U64_MAX)
		return;
	spin_lock(linger->lock);
	linger_later(linger, next + ns - now);
	spin_unlock(linger->lock);
}

static struct cm_linger *linger_of(struct shrinker *shrinker)
{
	return container_of(cm_shrinker_of(shrinker), struct cm_linger,
			    shrinker);
}

static unsigned long linger_count(struct shrinker *shrinker,
				  struct shrink_control *control)
{
	struct cm_linger *linger = linger_of(shrinker);
	const struct cm_bank *bank = linger->map->bank;
	unsigned long i, count = 0;

	spin_lock(linger->lock);
	for (i = 0; i < bank->granule_count; i++)
		if (bank->granules[i].taken && !bank->granules[i].users)
			count += 1UL << bank->order;
	spin_unlock(linger->lock);
	return count;
}

static unsigned long linger_scan(struct shrinker *shrinker,
				 struct shrink_control *control)
{
	u64 next = U64_MAX;

	return linger_give(linger_of(shrinker), U64_MAX, &next,
			   control->nr_to_scan) ?: SHRINK_STOP;
}

/**
 * cm_linger_init() - prepare, with nothing to give back yet
 * @linger: filled in
 * @map:    the map whose granules it gives back
 * @lock:   the lock of both
 */
void cm_linger_init(struct cm_linger *linger,
		    struct cm_placement *map, spinlock_t *lock)
{
	linger->map = map;
	linger->lock = lock;
	INIT_DELAYED_WORK(&linger->work, linger_work);
}

/**
 * cm_linger_open() - let the system ask for what is empty
 * @linger: of a shared pool
 * @name:   of the context
 *
 * Return: 0 or ENOMEM.
 */
int cm_linger_open(struct cm_linger *linger, const char *name)
{
	return cm_shrinker_register(&linger->shrinker, name, linger_count,
				    linger_scan);
}

/**
 * cm_linger_close() - give back every granule, as none is in use any more
 * @linger: opened, or not; the map is of no size
 */
void cm_linger_close(struct cm_linger *linger)
{
	u64 next = U64_MAX;

	cancel_delayed_work_sync(&linger->work);
	cm_shrinker_unregister(&linger->shrinker);
	if (linger->map->bank->reusable)
		linger_give(linger, U64_MAX, &next, ULONG_MAX);
}
