// SPDX-License-Identifier: GPL-2.0
/*
 * Pool: taking granules from the system, and giving them back.
 */
#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>

#include "deadline.h"
#include "pool.h"
#include "spec.h"
#include "sync.h"
#include "trace.h"

/*
 * Pages in flight (of a process that ends, of a fault) are busy until the
 * process gets to run; those that stay longer are stuck. Memory to move pages
 * to may be there as soon as reclaim, or what it woke, has run.
 */
#define POOL_BUSY_WAIT_US	1000
#define POOL_PRIVATE_TRIES	50
#define POOL_PRIVATE_WAIT	msecs_to_jiffies(100)

static int pool_set_linger(const char *text, const struct kernel_param *param)
{
	return param_set_uint_minmax(text, param, 0, 60000);
}

static const struct kernel_param_ops pool_linger_ops = {
	.set = pool_set_linger,
	.get = param_get_uint,
};

static unsigned int pool_linger_ms = 1000;
module_param_cb(linger_ms, &pool_linger_ops, &pool_linger_ms, 0644);
MODULE_PARM_DESC(linger_ms,
		 "how long an empty granule of a shared context is kept, 0 to 60000 ms (1000)");

/* For what waits for nobody, and so need not wait on a context's queue. */
static struct workqueue_struct *pool_background;

static u64 pool_linger_ns(void)
{
	return (u64)READ_ONCE(pool_linger_ms) * NSEC_PER_MSEC;
}

/**
 * cm_pool_later() - have a work done in the background
 * @work:  the work
 * @delay: jiffies
 */
void cm_pool_later(struct delayed_work *work, unsigned long delay)
{
	mod_delayed_work(pool_background, work, delay);
}

/*
 * Called with the lock held, so that it cannot run after cm_pool_close(). It
 * looks every second at the latest: the time may have been made shorter.
 */
static void pool_linger_later(struct cm_pool *pool, u64 ns)
{
	lockdep_assert_held(&pool->lock);
	if (!pool->private && pool->map.count &&
	    !delayed_work_pending(&pool->linger_work))
		cm_pool_later(&pool->linger_work,
			      nsecs_to_jiffies(min_t(u64, ns, NSEC_PER_SEC)) + 1);
}

static int pool_take_pages(struct cm_pool *pool, unsigned long start,
			   unsigned long count)
{
	u64 begin = ktime_get_ns();
	int ret = cm_bank_take(&pool->bank, start, count);

	if (ret == -EBUSY || ret == -ENOMEM) {
		usleep_range(POOL_BUSY_WAIT_US, 2 * POOL_BUSY_WAIT_US);
		ret = cm_bank_take(&pool->bank, start, count);
	}
	trace_cm_migrate(pool->name,
			 (u64)(start - pool->bank.start) << PAGE_SHIFT,
			 (u64)count << PAGE_SHIFT, ktime_get_ns() - begin, ret);
	return ret;
}

/*
 * Where to begin: a huge page that reaches into the granule from below is only
 * migrated by a range that has its first page. (With 16 KiB pages huge pages
 * have 32 MiB.) It lies in granules that are not taken. A hint only: it may
 * change at any time.
 */
static unsigned long pool_huge_start(const struct cm_bank *bank,
				     unsigned long start)
{
	unsigned long head = page_to_pfn(compound_head(pfn_to_page(start)));

	if (head >= start || head < bank->start)
		return start;
	return bank->start + ((head - bank->start) >> bank->order << bank->order);
}

/* Nobody but the caller takes granules, so one that is not taken stays so. */
static bool pool_is_taken(struct cm_pool *pool, unsigned long start,
			  unsigned long end)
{
	bool taken = false;

	spin_lock(&pool->lock);
	for (; start != end && !taken;
	     start = cm_bank_granule_end(&pool->bank, start))
		taken = cm_bank_granule(&pool->bank, start)->taken;
	spin_unlock(&pool->lock);
	return taken;
}

static void pool_note(struct cm_pool *pool, unsigned long start,
		      unsigned long end, int error)
{
	u64 now = ktime_get_ns();

	spin_lock(&pool->lock);
	if (error == -EBUSY || error == -ENOMEM)
		cm_bank_granule(&pool->bank, end - 1)->since = now;
	for (; !error && start != end;
	     start = cm_bank_granule_end(&pool->bank, start)) {
		struct cm_granule *granule = cm_bank_granule(&pool->bank, start);

		granule->taken = true;
		granule->since = granule->users ? 0 : now;
	}
	pool_linger_later(pool, pool_linger_ns());
	spin_unlock(&pool->lock);
}

static int pool_take_one(struct cm_pool *pool, unsigned long pfn)
{
	const struct cm_bank *bank = &pool->bank;
	unsigned long end = cm_bank_granule_end(bank, pfn);
	unsigned long start = bank->start +
			      ((pfn - bank->start) >> bank->order << bank->order);
	unsigned long huge;
	int ret;

	if (pool_is_taken(pool, start, end))
		return 0;
	huge = pool_huge_start(bank, start);
	if (huge != start && !pool_is_taken(pool, huge, start))
		start = huge;
	ret = pool_take_pages(pool, start, end - start);
	pool_note(pool, start, end, ret);
	return ret;
}

/**
 * cm_pool_take() - take from the system what is not taken of a range
 * @pool:     the pool
 * @start:    first page frame number
 * @count:    page frames, occupied by an extent or of a private pool, so that
 *            nobody gives them back
 * @deadline: when to give up
 *
 * For &cm_context.queue, or before there is anybody on it. Sleeps while pages are
 * migrated; the deadline is seen between two granules. On failure, what was taken
 * lingers.
 *
 * Return: 0, EBUSY when a page would not leave, ENOMEM when the system had
 * nowhere to move one to, ETIMEDOUT.
 */
int cm_pool_take(struct cm_pool *pool, unsigned long start,
		 unsigned long count, const struct cm_deadline *deadline)
{
	unsigned long pfn = start, end = start + count;
	int ret = 0;

	while (!ret && pfn != end) {
		if (cm_deadline_is_over(deadline))
			return -ETIMEDOUT;
		ret = pool_take_one(pool, pfn);
		pfn = min(end, cm_bank_granule_end(&pool->bank, pfn));
	}
	return ret;
}

/**
 * cm_pool_remove() - free an extent
 * @pool:   the pool, locked
 * @extent: an extent of its map; nobody else holds a reference on its pages
 *
 * Granules that are empty then linger.
 */
void cm_pool_remove(struct cm_pool *pool, struct cm_extent *extent)
{
	lockdep_assert_held(&pool->lock);
	cm_placement_remove(&pool->map, extent, ktime_get_ns());
	pool_linger_later(pool, pool_linger_ns());
}

/**
 * cm_pool_keep() - keep a range for a compaction that makes a hole there
 * @pool:  the pool
 * @start: first page frame number
 * @count: page frames, 0 to end that
 */
void cm_pool_keep(struct cm_pool *pool, unsigned long start,
		  unsigned long count)
{
	spin_lock(&pool->lock);
	pool->map.kept_start = start;
	pool->map.kept_count = count;
	spin_unlock(&pool->lock);
}

/*
 * Give back a granule that has been empty since @before or longer; U64_MAX for
 * any. Return: its page frames, or sets *@next to when it was emptied.
 */
static unsigned long pool_give_granule(struct cm_pool *pool,
				       unsigned long index, u64 before,
				       u64 *next)
{
	struct cm_bank *bank = &pool->bank;
	struct cm_granule *granule = &bank->granules[index];
	unsigned long start = bank->start + (index << bank->order);
	unsigned long count = 0;

	spin_lock(&pool->lock);
	if (granule->taken && !granule->users && granule->since > before) {
		*next = min(*next, granule->since);
	} else if (granule->taken && !granule->users) {
		count = cm_bank_granule_end(bank, start) - start;
		cm_bank_give(bank, start, count);
		*granule = (struct cm_granule){ 0 };
	}
	spin_unlock(&pool->lock);
	return count;
}

static unsigned long pool_give(struct cm_pool *pool, u64 before, u64 *next,
			       unsigned long most)
{
	unsigned long i, given = 0;

	for (i = 0; i < pool->bank.granule_count && given < most; i++) {
		given += pool_give_granule(pool, i, before, next);
		cond_resched();
	}
	return given;
}

static void pool_linger_work(struct work_struct *work)
{
	struct cm_pool *pool = container_of(to_delayed_work(work),
					    struct cm_pool, linger_work);
	u64 next = U64_MAX, now = ktime_get_ns(), linger = pool_linger_ns();

	pool_give(pool, now - min(now, linger), &next, ULONG_MAX);
	if (next == U64_MAX)
		return;
	spin_lock(&pool->lock);
	pool_linger_later(pool, next + linger - now);
	spin_unlock(&pool->lock);
}

static unsigned long pool_shrink_count(struct shrinker *shrinker,
				       struct shrink_control *control)
{
	struct cm_pool *pool = container_of(cm_shrinker_of(shrinker),
					    struct cm_pool, shrinker);
	unsigned long i, count = 0;

	spin_lock(&pool->lock);
	for (i = 0; i < pool->bank.granule_count; i++)
		if (pool->bank.granules[i].taken && !pool->bank.granules[i].users)
			count += 1UL << pool->bank.order;
	spin_unlock(&pool->lock);
	return count;
}

static unsigned long pool_shrink_scan(struct shrinker *shrinker,
				      struct shrink_control *control)
{
	struct cm_pool *pool = container_of(cm_shrinker_of(shrinker),
					    struct cm_pool, shrinker);
	u64 next = U64_MAX;

	return pool_give(pool, U64_MAX, &next, control->nr_to_scan) ?:
	       SHRINK_STOP;
}

static int pool_take_private(struct cm_pool *pool, struct cm_refusal *why)
{
	const struct cm_deadline never = { .ns = U64_MAX };
	const struct cm_bank *bank = &pool->bank;
	int ret, tries = POOL_PRIVATE_TRIES;

	for (;;) {
		ret = cm_pool_take(pool, bank->start, bank->count, &never);
		if (ret != -EBUSY || !--tries)
			break;
		if (schedule_timeout_killable(POOL_PRIVATE_WAIT))
			return -EINTR;
	}
	if (ret)
		return cm_refuse(why, ret,
				 "bank %s: its pages are in use and would not leave; load the module earlier",
				 bank->name);
	return 0;
}

static int pool_make(struct cm_pool *pool, struct cm_refusal *why)
{
	if (pool->private)
		return pool->bank.reusable ? pool_take_private(pool, why) : 0;
	if (!pool->bank.reusable)
		return cm_refuse(why, -EINVAL,
				 "bank %s is not reusable: its memory is gone from the system anyway; add cm,private to the context, or reusable to the bank",
				 pool->bank.name);
	if (cm_shrinker_register(&pool->shrinker, pool->name, pool_shrink_count,
				 pool_shrink_scan))
		return cm_refuse(why, -ENOMEM, "no memory for the shrinker");
	return 0;
}

/* No extent is left, and none comes. */
static void pool_release(struct cm_pool *pool)
{
	u64 next = U64_MAX;

	cm_shrinker_unregister(&pool->shrinker);
	if (pool->bank.reusable)
		pool_give(pool, U64_MAX, &next, ULONG_MAX);
	cm_bank_release(&pool->bank);
}

/**
 * cm_pool_prepare() - make a pool without memory
 * @pool: the pool; @name is set
 */
void cm_pool_prepare(struct cm_pool *pool)
{
	spin_lock_init(&pool->lock);
	cm_placement_init(&pool->map, &pool->bank);
	INIT_DELAYED_WORK(&pool->linger_work, pool_linger_work);
}

/**
 * cm_pool_open() - take possession of the memory
 * @pool: the pool, prepared
 * @spec: what it is to be
 * @why:  the reason when it is refused
 *
 * Sleeps while the pages of a private one are migrated.
 *
 * Return: 0, or an error as cm_bank_claim(), EINTR.
 */
int cm_pool_open(struct cm_pool *pool, const struct cm_spec *spec,
		 struct cm_refusal *why)
{
	int ret = cm_bank_claim(&pool->bank, spec, why);

	if (ret)
		return ret;
	if (cm_sync_is_bounced(pool->bank.start)) {
		cm_bank_release(&pool->bank);
		return cm_refuse(why, -EINVAL,
				 "swiotlb=force gives every device bounce buffers: drivers could never reach a chunk");
	}
	cm_placement_init(&pool->map, &pool->bank);
	pool->private = spec->private;
	ret = pool_make(pool, why);
	if (ret)
		cm_pool_close(pool);
	return ret;
}

/**
 * cm_pool_close() - give up the memory, if there is any
 * @pool: the pool, no page frame of which is occupied or being taken
 */
void cm_pool_close(struct cm_pool *pool)
{
	spin_lock(&pool->lock);
	pool->map.count = 0;
	spin_unlock(&pool->lock);
	cancel_delayed_work_sync(&pool->linger_work);
	if (pool->bank.granules)
		pool_release(pool);
}

/**
 * cm_pool_init() - prepare for works in the background
 *
 * Return: 0 or ENOMEM.
 */
int cm_pool_init(void)
{
	/* Unbound: no CPU is better than another, and 7.x wants to be told. */
	pool_background = alloc_workqueue("cm", WQ_UNBOUND, 0);
	return pool_background ? 0 : -ENOMEM;
}

/**
 * cm_pool_exit() - wait for the works in the background, and undo cm_pool_init()
 */
void cm_pool_exit(void)
{
	destroy_workqueue(pool_background);
}
