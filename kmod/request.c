// SPDX-License-Identifier: GPL-2.0
/*
 * Request: what waits for its turn on a context's queue, and who waits for it.
 *
 * The work is done by the queue's worker, at normal priority and whatever
 * happens to the caller. The caller waits for it, but not beyond the deadline,
 * and can be killed; what the worker achieves after that is undone.
 */
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sched.h>

#include "request.h"

#define REQUEST_DEFAULT_NS	(10ULL * NSEC_PER_SEC)
#define REQUEST_MAX_NS		(3600ULL * NSEC_PER_SEC)
/* A granule that was stuck so long ago is worth another try. */
#define REQUEST_STUCK_NS	NSEC_PER_SEC

enum request_state {
	REQUEST_WAITING,
	REQUEST_DONE,
	REQUEST_LEFT,
};

/**
 * cm_demand_init() - read what is asked for
 * @demand:      filled in
 * @ctx:         the context
 * @size:        bytes
 * @alignment:   bytes, or 0 for the context's minimum
 * @deadline_ns: from now on, or 0 for the default
 *
 * Return: 0, or EINVAL for a size or an alignment that cannot be.
 */
int cm_demand_init(struct cm_demand *demand, struct cm_context *ctx, u64 size,
		   u64 alignment, u64 deadline_ns)
{
	u64 now = ktime_get_ns();
	u64 align = max_t(u64, alignment >> PAGE_SHIFT, ctx->min_align);
	u64 limit = min_t(u64, deadline_ns ?: REQUEST_DEFAULT_NS,
			  REQUEST_MAX_NS);

	*demand = (struct cm_demand){
		.ctx = ctx,
		.begin = now,
		.deadline.ns = now + limit,
		.horizon = now - min_t(u64, now, REQUEST_STUCK_NS),
	};
	/* Not is_power_of_2(), which takes an unsigned long. */
	if (!size || alignment & (alignment - 1))
		return -EINVAL;
	/* Neither can be met beyond the size of the map: cut, do not wrap. */
	demand->count = min_t(u64, ((size - 1) >> PAGE_SHIFT) + 1, ULONG_MAX);
	demand->align = min_t(u64, align, 1UL << (BITS_PER_LONG - 1));
	return 0;
}

/**
 * cm_demand_reason() - why something failed
 * @demand: what was asked for
 * @error:  what it failed with, or 0
 *
 * Return: the reason.
 */
enum cm_reason cm_demand_reason(const struct cm_demand *demand, int error)
{
	switch (error) {
	case 0:
		return CM_REASON_NONE;
	case -ENOSPC:
		if (demand->full)
			return CM_REASON_FULL;
		if (demand->busy == -ENOMEM)
			return CM_REASON_NO_MEMORY;
		return demand->busy ? CM_REASON_BUSY : CM_REASON_FRAGMENTED;
	case -ETIMEDOUT:
		return CM_REASON_DEADLINE;
	case -EINTR:
		return CM_REASON_INTERRUPTED;
	case -EDQUOT:
		return CM_REASON_QUOTA;
	case -EUSERS:
		return CM_REASON_CHUNKS;
	case -EINVAL:
		return CM_REASON_INVALID;
	default:
		return CM_REASON_NO_MEMORY;
	}
}

/**
 * cm_demand_errno() - the error of a reason
 * @reason: the reason
 *
 * Return: as documented for &enum cm_reason.
 */
int cm_demand_errno(enum cm_reason reason)
{
	static const int errnos[CM_REASON_COUNT] = {
		[CM_REASON_FULL] = -ENOMEM,
		[CM_REASON_FRAGMENTED] = -ENOMEM,
		[CM_REASON_BUSY] = -EBUSY,
		[CM_REASON_DEADLINE] = -ETIMEDOUT,
		[CM_REASON_INTERRUPTED] = -EINTR,
		[CM_REASON_NO_MEMORY] = -ENOMEM,
		[CM_REASON_INVALID] = -EINVAL,
		[CM_REASON_QUOTA] = -EDQUOT,
		[CM_REASON_CHUNKS] = -EDQUOT,
	};

	return errnos[reason];
}

static void request_release(struct kref *ref)
{
	struct cm_request *request = container_of(ref, struct cm_request, ref);

	request->ops->release(request);
}

/**
 * cm_request_put() - let go of a request
 * @request: the request
 */
void cm_request_put(struct cm_request *request)
{
	kref_put(&request->ref, request_release);
}

static void request_end(struct cm_request *request, int error)
{
	bool late;

	request->error = error;
	late = cmpxchg(&request->state, REQUEST_WAITING, REQUEST_DONE) !=
	       REQUEST_WAITING;
	request->ops->end(request, late && !error);
	wake_up(&request->wait);
	cm_request_put(request);
}

static void request_queue(struct cm_request *request, unsigned long delay)
{
	queue_delayed_work(request->demand.ctx->queue, &request->work, delay);
}

static void request_work(struct work_struct *work)
{
	struct cm_request *request = container_of(to_delayed_work(work),
						  struct cm_request, work);
	int ret = -ETIMEDOUT;

	if (!cm_deadline_is_over(&request->demand.deadline))
		ret = request->ops->step(request);
	if (ret == -EAGAIN)
		request_queue(request, 0);
	else if (ret == -EINPROGRESS)
		request_queue(request, 1);
	else
		request_end(request, ret);
}

/**
 * cm_request_init() - make a request
 * @request: the request, whose first reference is the caller's
 * @ops:     what it does
 * @demand:  what for
 */
void cm_request_init(struct cm_request *request,
		     const struct cm_request_ops *ops,
		     const struct cm_demand *demand)
{
	request->demand = *demand;
	request->ops = ops;
	request->state = REQUEST_WAITING;
	kref_init(&request->ref);
	INIT_DELAYED_WORK(&request->work, request_work);
	init_waitqueue_head(&request->wait);
}

/* There is no wait_event_killable_hrtimeout(), and jiffies are long. */
static int request_wait(struct cm_request *request)
{
	u64 now = ktime_get_ns(), deadline = request->demand.deadline.ns;
	int ret = -ETIME;

	if (now < deadline)
		ret = __wait_event_hrtimeout(request->wait,
					     READ_ONCE(request->state) != REQUEST_WAITING,
					     ns_to_ktime(deadline - now),
					     TASK_KILLABLE);
	if (!ret)
		return 0;
	return ret == -ETIME ? -ETIMEDOUT : -EINTR;
}

/**
 * cm_request_run() - queue a request and wait for its end, or the deadline
 * @request: the request; the caller's reference remains the caller's
 *
 * After ETIMEDOUT and EINTR the worker may still be busy with it: then @demand
 * and what belongs to the request are the worker's.
 *
 * Return: what it ended with; ETIMEDOUT; EINTR when a fatal signal is pending.
 */
int cm_request_run(struct cm_request *request)
{
	int ret;

	kref_get(&request->ref);
	request_queue(request, 0);
	ret = request_wait(request);
	if (ret && cmpxchg(&request->state, REQUEST_WAITING, REQUEST_LEFT) ==
		   REQUEST_WAITING) {
		WRITE_ONCE(request->demand.deadline.left, true);
		/* It need not come to its turn, with nothing to undo between two. */
		if (cancel_delayed_work(&request->work)) {
			request->error = ret;
			request->ops->end(request, false);
			cm_request_put(request);
		}
		return ret;
	}
	/* What the worker wrote before its cmpxchg() in request_end(). */
	smp_rmb();
	return request->error;
}
