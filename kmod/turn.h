/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Turn: a lock that is waited for until a deadline.
 */
#ifndef CM_TURN_H
#define CM_TURN_H

#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/wait.h>

/**
 * struct cm_turn - whose turn it is
 * @waiters: those who wait for it
 */
struct cm_turn {
	/** @mutex: locked by whoever has it */
	struct mutex mutex;
	wait_queue_head_t waiters;
};

/* A macro, so that lockdep tells the turns of different places apart. */
#define cm_turn_init(turn)						\
	do {								\
		struct cm_turn *turn_ = (turn);				\
									\
		mutex_init(&turn_->mutex);				\
		init_waitqueue_head(&turn_->waiters);			\
	} while (0)

int cm_turn_take(struct cm_turn *turn, u64 deadline);
void cm_turn_give(struct cm_turn *turn);
void cm_turn_step_aside(struct cm_turn *turn, u64 deadline);

#endif /* CM_TURN_H */
