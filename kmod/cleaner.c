// SPDX-License-Identifier: GPL-2.0
/*
 * Cleaner: clears free memory in the background, so that an allocation there
 * need not wait for it.
 *
 * Only where the memory stays with the context: in granules that are taken.
 */
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/minmax.h>

#include "cleaner.h"
#include "compat.h"

/* Cleared with the lock held: some 10 us of memory bandwidth. */
#define CLEANER_STEP_PAGES	max(SZ_32K >> PAGE_SHIFT, 1)
/* At most 100 MiB a second: memory bandwidth knows no idle priority. */
#define CLEANER_ROUND_PAGES	(SZ_1M >> PAGE_SHIFT)
#define CLEANER_REST		msecs_to_jiffies(10)

/* The first free page frame that was written; sets their *@count, at most @most. */
static unsigned long cleaner_find(const struct cm_placement *map,
				  unsigned long most, unsigned long *count)
{
	const struct cm_bank *bank = map->bank;
	unsigned long from = map->start;
	const struct cm_extent *extent;

	*count = 0;
	list_for_each_entry(extent, &map->extents, node) {
		from = cm_bank_next_written(bank, from, extent->start, count);
		if (*count)
			break;
		from = extent->start + extent->count;
	}
	if (!*count)
		from = cm_bank_next_written(bank, from, map->start + map->count,
					    count);
	*count = min(*count, most);
	return from;
}

/* Return: how many page frames it cleared, 0 when there was nothing to do. */
static unsigned long cleaner_step(struct cm_cleaner *cleaner)
{
	struct cm_placement *map = cleaner->map;
	unsigned long start, count = 0;

	spin_lock(cleaner->lock);
	if (map->count)
		start = cleaner_find(map, CLEANER_STEP_PAGES, &count);
	if (count) {
		cm_bank_clear(start, count);
		cm_bank_note_zero(map->bank, start, count);
	}
	WRITE_ONCE(cleaner->wanted, count);
	spin_unlock(cleaner->lock);
	return count;
}

static void cleaner_round(struct cm_cleaner *cleaner)
{
	unsigned long count, cleared = 0;

	do {
		count = cleaner_step(cleaner);
		cleared += count;
		cond_resched();
	} while (count && cleared < CLEANER_ROUND_PAGES);
}

static int cleaner_run(void *data)
{
	struct cm_cleaner *cleaner = data;

	cm_set_idle_priority(current);
	while (!kthread_should_stop()) {
		wait_event_idle(cleaner->wait, READ_ONCE(cleaner->wanted) ||
				kthread_should_stop());
		/* First: what is reused at once is better not looked for. */
		schedule_timeout_idle(CLEANER_REST);
		cleaner_round(cleaner);
	}
	return 0;
}

/**
 * cm_cleaner_wake() - say that there may be something to clear
 * @cleaner: the cleaner, its lock held
 */
void cm_cleaner_wake(struct cm_cleaner *cleaner)
{
	lockdep_assert_held(cleaner->lock);
	if (cleaner->wanted)
		return;
	WRITE_ONCE(cleaner->wanted, true);
	wake_up(&cleaner->wait);
}

/**
 * cm_cleaner_init() - make a cleaner that does nothing yet
 * @cleaner: filled in
 * @map:     the map whose free pages it clears
 * @lock:    the lock of both
 */
void cm_cleaner_init(struct cm_cleaner *cleaner,
		     struct cm_placement *map, spinlock_t *lock)
{
	cleaner->map = map;
	cleaner->lock = lock;
	init_waitqueue_head(&cleaner->wait);
	/* Nobody knows what a bank that was never the system's holds. */
	cleaner->wanted = true;
}

/**
 * cm_cleaner_start() - begin to clear
 * @cleaner: the cleaner
 * @name:    of the context
 *
 * Return: 0, or ENOMEM or EINTR when there is no thread for it.
 */
int cm_cleaner_start(struct cm_cleaner *cleaner, const char *name)
{
	struct task_struct *thread = kthread_run(cleaner_run, cleaner,
						 "cm-clear/%s", name);

	if (IS_ERR(thread))
		return PTR_ERR(thread);
	cleaner->thread = thread;
	return 0;
}

/**
 * cm_cleaner_stop() - wait until it clears nothing any more
 * @cleaner: started, or not
 */
void cm_cleaner_stop(struct cm_cleaner *cleaner)
{
	if (!cleaner->thread)
		return;
	/* Or it would be waited for until nobody else wants the CPU. */
	sched_set_normal(cleaner->thread, 0);
	kthread_stop(cleaner->thread);
	cleaner->thread = NULL;
}
