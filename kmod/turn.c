// SPDX-License-Identifier: GPL-2.0
/*
 * Turn: a lock that is waited for until a deadline.
 */
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/sched.h>

#include "deadline.h"
#include "turn.h"

/**
 * cm_turn_take() - wait for one's turn
 * @turn:     the turn
 * @deadline: ktime_get_ns() at which to give up
 *
 * Return: 0, ETIMEDOUT, or EINTR when a fatal signal is pending.
 */
int cm_turn_take(struct cm_turn *turn, u64 deadline)
{
	u64 now = ktime_get_ns();
	int ret;

	if (mutex_trylock(&turn->mutex))
		return 0;
	if (now >= deadline)
		return -ETIMEDOUT;
	/* There is no wait_event_killable_hrtimeout(), and jiffies are long. */
	ret = __wait_event_hrtimeout(turn->waiters, mutex_trylock(&turn->mutex),
				     ns_to_ktime(deadline - now),
				     TASK_KILLABLE);
	if (ret == -ETIME)
		return -ETIMEDOUT;
	return ret ? -EINTR : 0;
}

/**
 * cm_turn_give() - end one's turn
 * @turn: a turn that was taken
 */
void cm_turn_give(struct cm_turn *turn)
{
	mutex_unlock(&turn->mutex);
	wake_up(&turn->waiters);
}

/**
 * cm_turn_step_aside() - let those who wait go first
 * @turn:     a turn that the caller has given and means to take again
 * @deadline: ktime_get_ns() at which to give up
 *
 * They are woken by cm_turn_give(), but would find it taken again.
 */
void cm_turn_step_aside(struct cm_turn *turn, u64 deadline)
{
	if (wq_has_sleeper(&turn->waiters))
		cm_deadline_sleep(deadline, TICK_NSEC);
	else
		cond_resched();
}
