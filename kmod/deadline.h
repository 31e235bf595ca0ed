/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Deadline: until when the caller waits.
 */
#ifndef CM_DEADLINE_H
#define CM_DEADLINE_H

#include <linux/compiler.h>
#include <linux/ktime.h>
#include <linux/types.h>

/**
 * struct cm_deadline - until when somebody waits
 * @ns:   ktime_get_ns() at which to give up
 * @left: nobody waits any more
 */
struct cm_deadline {
	u64 ns;
	bool left;
};

/**
 * cm_deadline_is_over() - whether there is no time left
 * @deadline: the deadline
 *
 * Return: whether.
 */
static inline bool cm_deadline_is_over(const struct cm_deadline *deadline)
{
	return READ_ONCE(deadline->left) || ktime_get_ns() >= deadline->ns;
}

#endif /* CM_DEADLINE_H */
