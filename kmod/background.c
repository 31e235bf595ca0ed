// SPDX-License-Identifier: GPL-2.0
/*
 * Background: works that nobody waits for, so that they need not wait on a
 * context's queue either.
 */
#include <linux/errno.h>

#include "background.h"

static struct workqueue_struct *background_queue;

/**
 * cm_background_later() - have a work done
 * @work:  the work
 * @delay: jiffies, also when it was to be done at another time
 */
void cm_background_later(struct delayed_work *work, unsigned long delay)
{
	mod_delayed_work(background_queue, work, delay);
}

/**
 * cm_background_init() - prepare for works
 *
 * Return: 0 or ENOMEM.
 */
int cm_background_init(void)
{
	/* Unbound: no CPU is better than another; newer kernels require a choice. */
	background_queue = alloc_workqueue("cm", WQ_UNBOUND, 0);
	return background_queue ? 0 : -ENOMEM;
}

/**
 * cm_background_exit() - wait for the works, and undo cm_background_init()
 */
void cm_background_exit(void)
{
	destroy_workqueue(background_queue);
}
