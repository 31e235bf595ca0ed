/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Deadline: whether whoever waits for a call still wants it.
 */
#ifndef CM_DEADLINE_H
#define CM_DEADLINE_H

#include <linux/errno.h>
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

/* Page frames that are zeroed or copied between two looks at the clock. */
#define CM_DEADLINE_PAGES	64

/**
 * cm_deadline_check() - tell whether to go on
 * @deadline: ktime_get_ns() at which to give up
 *
 * Return: 0, EINTR when a fatal signal is pending, ETIMEDOUT.
 */
static inline int cm_deadline_check(u64 deadline)
{
	if (fatal_signal_pending(current))
		return -EINTR;
	return ktime_get_ns() < deadline ? 0 : -ETIMEDOUT;
}

/**
 * cm_deadline_is_over() - tell whether something failed for want of time
 * @error: what it failed with
 *
 * Return: whether the caller is to get his answer before anything else.
 */
static inline bool cm_deadline_is_over(int error)
{
	return error == -ETIMEDOUT || error == -EINTR;
}

/**
 * cm_deadline_sleep() - sleep, but not beyond a deadline
 * @deadline: ktime_get_ns() at which to give up
 * @ns:       nanoseconds, unless a fatal signal arrives
 */
static inline void cm_deadline_sleep(u64 deadline, u64 ns)
{
	ktime_t until = ns_to_ktime(min_t(u64, ktime_get_ns() + ns, deadline));

	set_current_state(TASK_KILLABLE);
	schedule_hrtimeout(&until, HRTIMER_MODE_ABS);
}

#endif /* CM_DEADLINE_H */
