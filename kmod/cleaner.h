/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Cleaner: clears free memory in the background.
 */
#ifndef CM_CLEANER_H
#define CM_CLEANER_H

#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "bank.h"

/**
 * struct cm_cleaner - clears what is to be cleared of one bank
 * @bank:   the bank
 * @thread: does it, with what CPU time nobody else wants
 * @wait:   where it sleeps
 * @next:   page frame number to go on with
 * @wanted: there may be something to clear; for @lock to set
 */
struct cm_cleaner {
	struct cm_bank *bank;
	/** @lock: protects the bits of @bank, @next and @wanted */
	spinlock_t *lock;
	struct task_struct *thread;
	wait_queue_head_t wait;
	unsigned long next;
	bool wanted;
};

void cm_cleaner_init(struct cm_cleaner *cleaner,
		     struct cm_bank *bank, spinlock_t *lock);
int cm_cleaner_start(struct cm_cleaner *cleaner, const char *name);
void cm_cleaner_stop(struct cm_cleaner *cleaner);
void cm_cleaner_wake(struct cm_cleaner *cleaner);

#endif /* CM_CLEANER_H */
