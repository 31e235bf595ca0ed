/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Request: what waits for its turn on a context's queue, and who waits for it.
 */
#ifndef CM_REQUEST_H
#define CM_REQUEST_H

#include <linux/kref.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "context.h"
#include "deadline.h"

struct cm_request;

/**
 * struct cm_demand - what is asked for, and how it goes
 * @ctx:      the context
 * @count:    page frames
 * @align:    page frames, a power of two
 * @begin:    ktime_get_ns() of the call
 * @deadline: when to give up
 * @horizon:  as in &struct cm_want
 * @retries:  places that were busy
 * @busy:     what made the last of them busy, or kept a chunk from moving:
 *            EBUSY or ENOMEM, negative; 0 when nothing did
 * @full:     less was free than is asked for
 * @access:   access mode of the dma-buf's file, of an allocation
 * @cleared:  page frames that were cleared for it
 */
struct cm_demand {
	struct cm_context *ctx;
	unsigned long count;
	unsigned long align;
	u64 begin;
	struct cm_deadline deadline;
	u64 horizon;
	u32 retries;
	int busy;
	bool full;
	int access;
	unsigned long cleared;
};

/**
 * struct cm_request_ops - what a request does
 * @step:    on the queue: do a part of it; EAGAIN when there is more to do,
 *           which comes after what waits by then, EINPROGRESS when it is another
 *           one's turn
 * @end:     when no step comes any more; undo what succeeded too late for the
 *           caller, if it did
 * @release: free the structure
 */
struct cm_request_ops {
	int (*step)(struct cm_request *request);
	void (*end)(struct cm_request *request, bool undo);
	void (*release)(struct cm_request *request);
};

/**
 * struct cm_request - something to be done on a context's queue
 * @demand: what for
 * @error:  how it ended
 * @ops:    what it does
 * @ref:    one for the caller, one for the queue
 * @work:   in &cm_context.queue
 * @wait:   where the caller waits
 * @state:  whether it has ended, and which of the two was first
 */
struct cm_request {
	struct cm_demand demand;
	int error;
	const struct cm_request_ops *ops;
	struct kref ref;
	struct delayed_work work;
	wait_queue_head_t wait;
	int state;
};

int cm_demand_init(struct cm_demand *demand, struct cm_context *ctx, u64 size,
		   u64 alignment, u64 deadline_ns);
enum cm_reason cm_demand_reason(const struct cm_demand *demand, int error);
int cm_demand_errno(enum cm_reason reason);

void cm_request_init(struct cm_request *request,
		     const struct cm_request_ops *ops,
		     const struct cm_demand *demand);
int cm_request_run(struct cm_request *request);
void cm_request_put(struct cm_request *request);

#endif /* CM_REQUEST_H */
