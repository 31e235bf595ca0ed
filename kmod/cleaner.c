// SPDX-License-Identifier: GPL-2.0
/*
 * Cleaner: clears free memory in the background, so that an allocation there
 * need not wait for it.
 *
 * Only where the memory stays with the context: in granules that are taken.
 * An allocation that has a place there already need not stop it.
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

/* Return: how many page frames it cleared. */
static unsigned long cleaner_clear(struct cm_cleaner *cleaner)
{
	struct cm_bank *bank = cleaner->bank;
	unsigned long end = bank->start + bank->count;
	unsigned long start, count, cleared = 0;

	do {
		count = CLEANER_STEP_PAGES - cleared;
		start = cm_bank_next_written(bank, cleaner->next, end, &count);
		cm_bank_clear(start, count);
		cm_bank_note_zero(bank, start, count);
		cleaner->next = start + count;
		cleared += count;
	} while (count && cleared < CLEANER_STEP_PAGES);
	return cleared;
}

/* From the end of the bank on to its start, if anything came there meanwhile. */
static void cleaner_wrap(struct cm_cleaner *cleaner)
{
	const struct cm_bank *bank = cleaner->bank;
	unsigned long end = bank->start + bank->count, count = 1;

	if (cleaner->next != end)
		return;
	cleaner->next = cm_bank_next_written(bank, bank->start, end, &count);
	WRITE_ONCE(cleaner->wanted, count);
}

static void cleaner_round(struct cm_cleaner *cleaner)
{
	unsigned long cleared = 0;

	while (READ_ONCE(cleaner->wanted) && cleared < CLEANER_ROUND_PAGES) {
		spin_lock(cleaner->lock);
		cleared += cleaner_clear(cleaner);
		cleaner_wrap(cleaner);
		spin_unlock(cleaner->lock);
		cond_resched();
	}
}

static int cleaner_run(void *data)
{
	struct cm_cleaner *cleaner = data;

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
 * @bank:    whose pages it clears
 * @lock:    the lock of both
 */
void cm_cleaner_init(struct cm_cleaner *cleaner,
		     struct cm_bank *bank, spinlock_t *lock)
{
	cleaner->bank = bank;
	cleaner->lock = lock;
	init_waitqueue_head(&cleaner->wait);
	/* Nobody knows what a bank that was never the system's holds. */
	cleaner->wanted = true;
}

/**
 * cm_cleaner_start() - begin to clear
 * @cleaner: the cleaner, whose bank is claimed
 * @name:    of the context
 *
 * Return: 0, or ENOMEM or EINTR when there is no thread for it.
 */
int cm_cleaner_start(struct cm_cleaner *cleaner, const char *name)
{
	struct task_struct *thread = kthread_create(cleaner_run, cleaner,
						    "cm-clear/%s", name);

	if (IS_ERR(thread))
		return PTR_ERR(thread);
	/* Not by the thread: cm_cleaner_stop() may come before it has begun. */
	cm_set_idle_priority(thread);
	cleaner->next = cleaner->bank->start;
	cleaner->thread = thread;
	wake_up_process(thread);
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
