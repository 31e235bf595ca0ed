// SPDX-License-Identifier: GPL-2.0
/*
 * Pool: taking granules from the system, and giving them back.
 */
#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/mm.h>
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
#define POOL_STUCK_WAIT_US	1000

/*
 * How many granules the first call takes, how long each is to last, and a granule
 * as a first guess. Twice as many follow on what succeeded: a granule of free
 * pages tells little of the next one, which may be full.
 */
#define POOL_FIRST_GRANULES	8
#define POOL_MOST_GRANULES	32
#define POOL_BATCH_NS		(100 * (u64)NSEC_PER_MSEC)
#define POOL_GRANULE_NS		(10 * NSEC_PER_MSEC)

#define POOL_PRIVATE_TRIES	50
#define POOL_PRIVATE_WAIT	msecs_to_jiffies(100)

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
	return cm_bank_granule_start(bank, head);
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

/* There may be something to give back, and to clear before that. */
static void pool_note_free(struct cm_pool *pool)
{
	if (!pool->private)
		cm_linger_begin(&pool->linger);
	cm_cleaner_wake(&pool->cleaner);
}

static void pool_note_taken(struct cm_pool *pool, unsigned long start,
			    unsigned long end)
{
	u64 now = ktime_get_ns();

	spin_lock(&pool->lock);
	if (!cm_taken_pages_are_zero())
		cm_bank_note_written(&pool->bank, start, end - start);
	for (; start != end; start = cm_bank_granule_end(&pool->bank, start)) {
		struct cm_granule *granule = cm_bank_granule(&pool->bank, start);

		granule->taken = true;
		granule->since = granule->users ? 0 : now;
	}
	pool_note_free(pool);
	spin_unlock(&pool->lock);
}

static void pool_note_stuck(struct cm_pool *pool, unsigned long pfn)
{
	spin_lock(&pool->lock);
	cm_bank_granule(&pool->bank, pfn)->since = ktime_get_ns();
	spin_unlock(&pool->lock);
}

static int pool_take_pages(struct cm_pool *pool, unsigned long start,
			   unsigned long count)
{
	u64 begin = ktime_get_ns();
	int ret = cm_bank_take(&pool->bank, start, count);

	trace_cm_migrate(pool->name,
			 (u64)(start - pool->bank.start) << PAGE_SHIFT,
			 (u64)count << PAGE_SHIFT, ktime_get_ns() - begin, ret);
	return ret;
}

/* Take the granules [start, end), none of which is taken. */
static int pool_take_granules(struct cm_pool *pool, unsigned long start,
			      unsigned long end, unsigned long granules)
{
	unsigned long huge = pool_huge_start(&pool->bank, start);
	u64 begin = ktime_get_ns();
	int ret;

	if (huge != start && !pool_is_taken(pool, huge, start))
		start = huge;
	ret = pool_take_pages(pool, start, end - start);
	if (cm_pool_is_stuck(ret) && granules == 1) {
		usleep_range(POOL_STUCK_WAIT_US, 2 * POOL_STUCK_WAIT_US);
		ret = pool_take_pages(pool, start, end - start);
	}
	if (cm_pool_is_stuck(ret) && granules == 1)
		pool_note_stuck(pool, end - 1);
	if (ret)
		return ret;
	pool_note_taken(pool, start, end);
	pool->granule_ns = (pool->granule_ns +
			    div64_ul(ktime_get_ns() - begin, granules)) / 2;
	return 0;
}

/*
 * How many granules to take in one call. Each call stops every CPU to drain its
 * lists of free pages, so one for many granules is much faster than many; but
 * nobody else on the queue has a turn before it ends.
 */
static unsigned long pool_batch(const struct cm_pool *pool,
				const struct cm_deadline *deadline)
{
	u64 now = ktime_get_ns();
	u64 left = min(deadline->ns - min(now, deadline->ns), POOL_BATCH_NS);

	return max_t(u64, div64_u64(left, max_t(u64, pool->granule_ns, 1)), 1);
}

/*
 * The end of the granules from @start on that are not taken, at most @most; or of
 * one, if another context has to wait meanwhile.
 */
static unsigned long pool_batch_end(struct cm_pool *pool, unsigned long start,
				    unsigned long end, unsigned long most,
				    unsigned long *granules)
{
	const struct cm_bank *bank = &pool->bank;
	bool alone = false;

	*granules = 0;
	spin_lock(&pool->lock);
	while (start != end && *granules < most && !alone &&
	       !cm_bank_granule(bank, start)->taken) {
		alone = cm_bank_shares_unit(bank, start, 1);
		if (alone && *granules)
			break;
		start = cm_bank_granule_end(bank, start);
		++*granules;
	}
	spin_unlock(&pool->lock);
	return start;
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
 * migrated; the deadline is seen between two calls, which take half as many
 * granules each time that one fails, until the granule that would not leave is
 * known. On failure, what was taken lingers.
 *
 * Return: 0, EBUSY when a page would not leave, ENOMEM when the system had
 * nowhere to move one to, ETIMEDOUT, EINTR.
 */
int cm_pool_take(struct cm_pool *pool, unsigned long start,
		 unsigned long count, const struct cm_deadline *deadline)
{
	struct cm_bank *bank = &pool->bank;
	unsigned long from = cm_bank_granule_start(bank, start);
	unsigned long end = cm_bank_granule_end(bank, start + count - 1);
	unsigned long most = POOL_FIRST_GRANULES;

	while (from != end) {
		unsigned long stop, granules;
		int ret;

		if (cm_deadline_is_over(deadline))
			return -ETIMEDOUT;
		stop = pool_batch_end(pool, from, end,
				      min(most, pool_batch(pool, deadline)),
				      &granules);
		if (!granules) {
			from = cm_bank_granule_end(bank, from);
			continue;
		}
		ret = pool_take_granules(pool, from, stop, granules);
		if (ret && (granules == 1 || !cm_pool_is_stuck(ret)))
			return ret;
		if (ret) {
			most = granules / 2;
			continue;
		}
		most = min_t(unsigned long, max(most, 2 * granules),
			     POOL_MOST_GRANULES);
		from = stop;
	}
	return 0;
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
	pool_note_free(pool);
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
	if (cm_pool_is_stuck(ret))
		return cm_refuse(why, ret,
				 "bank %s: its pages are in use and would not leave; load the module earlier",
				 bank->name);
	return ret;
}

static int pool_take_shared(struct cm_pool *pool, struct cm_refusal *why)
{
	if (!pool->bank.reusable)
		return cm_refuse(why, -EINVAL,
				 "bank %s is not reusable: its memory is gone from the system anyway; add cm,private to the context, or reusable to the bank",
				 pool->bank.name);
	if (cm_linger_open(&pool->linger, pool->name))
		return cm_refuse(why, -ENOMEM, "no memory for the shrinker");
	return 0;
}

static int pool_make(struct cm_pool *pool, struct cm_refusal *why)
{
	int ret = 0;

	if (!pool->private)
		ret = pool_take_shared(pool, why);
	else if (pool->bank.reusable)
		ret = pool_take_private(pool, why);
	if (ret)
		return ret;
	ret = cm_cleaner_start(&pool->cleaner, pool->name);
	if (ret)
		return cm_refuse(why, ret, "no thread to clear memory");
	return 0;
}

/**
 * cm_pool_prepare() - make a pool without memory
 * @pool: the pool; @name is set
 */
void cm_pool_prepare(struct cm_pool *pool)
{
	spin_lock_init(&pool->lock);
	cm_placement_init(&pool->map, &pool->bank);
	cm_linger_init(&pool->linger, &pool->map, &pool->lock);
	cm_cleaner_init(&pool->cleaner, &pool->bank, &pool->lock);
	pool->granule_ns = POOL_GRANULE_NS;
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
	if (!pool->bank.granules)
		return;
	cm_cleaner_stop(&pool->cleaner);
	cm_linger_close(&pool->linger);
	cm_bank_release(&pool->bank);
}

/* Return: the page frames of a range that the system uses. */
static unsigned long pool_count_lent(const struct cm_pool *pool,
				     unsigned long start, unsigned long count)
{
	unsigned long pfn, next, end = start + count, lent = 0;

	for (pfn = start; pfn != end; pfn = next) {
		next = min(end, cm_bank_granule_end(&pool->bank, pfn));
		if (!cm_bank_granule(&pool->bank, pfn)->taken)
			lent += next - pfn;
	}
	return lent;
}

/**
 * cm_pool_usage() - who has what no chunk has
 * @pool: the pool, locked
 * @held: set to the bytes that are taken from the system, and no chunk's
 * @lent: set to the bytes that the system uses, also where a chunk is to be
 *
 * Walks granules and extents, whose numbers are limited.
 */
void cm_pool_usage(const struct cm_pool *pool, u64 *held, u64 *lent)
{
	const struct cm_placement *map = &pool->map;
	const struct cm_extent *extent;
	unsigned long system, used = 0;

	lockdep_assert_held(&pool->lock);
	/* Of no size before cm_pool_close() lets go of the granules. */
	system = pool_count_lent(pool, map->start, map->count);
	list_for_each_entry(extent, &map->extents, node)
		if (!extent->reserved)
			used += extent->count -
				pool_count_lent(pool, extent->start,
						extent->count);
	*held = (u64)(map->count - system - used) << PAGE_SHIFT;
	*lent = (u64)system << PAGE_SHIFT;
}
