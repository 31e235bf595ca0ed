// SPDX-License-Identifier: GPL-2.0
/*
 * Search: trying places until one can be taken, the deadline has passed, or
 * none is left.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/ktime.h>
#include <linux/mm.h>

#include "compaction.h"
#include "deadline.h"
#include "quota.h"
#include "search.h"

#define DEFAULT_DEADLINE_NS	(10ULL * NSEC_PER_SEC)
#define MAX_DEADLINE_NS		(3600ULL * NSEC_PER_SEC)

static void read_quota(struct cm_search *search)
{
	struct cm_context *ctx = search->ctx;
	kuid_t uid = current_euid();

	search->quota = cm_quota_of(ctx, uid);
	if (search->quota != CM_QUOTA_NONE)
		search->used = cm_quota_used(ctx, uid);
}

/**
 * cm_search_init() - read a request
 * @search: filled in
 * @ctx:    the context
 * @req:    the request
 *
 * Return: 0, or EINVAL for a size or an alignment that cannot be.
 */
int cm_search_init(struct cm_search *search, struct cm_context *ctx,
		   const struct cm_alloc *req)
{
	u64 align = max_t(u64, req->alignment,
			  (u64)ctx->min_align << PAGE_SHIFT);
	u64 limit = req->deadline_ns ?: DEFAULT_DEADLINE_NS;

	*search = (struct cm_search){ .ctx = ctx };
	mutex_lock(&ctx->lock);
	read_quota(search);
	mutex_unlock(&ctx->lock);
	if (!req->size)
		return -EINVAL;
	/* Not is_power_of_2(), which takes an unsigned long. */
	if (req->alignment && (req->alignment < PAGE_SIZE ||
			       req->alignment & (req->alignment - 1)))
		return -EINVAL;

	/* Neither can be met beyond the size of the map: cut, do not wrap. */
	search->count = min_t(u64, ((req->size - 1) >> PAGE_SHIFT) + 1,
			      ULONG_MAX);
	search->align = min_t(u64, align >> PAGE_SHIFT,
			      1UL << (BITS_PER_LONG - 1));
	search->deadline = ktime_get_ns() + min(limit, MAX_DEADLINE_NS);
	return 0;
}

/* Whoever may exceed a disk quota may exceed this one. */
static int check_quota(struct cm_search *search)
{
	read_quota(search);
	if (search->quota == CM_QUOTA_NONE)
		return 0;
	if (search->used <= search->quota &&
	    search->count <= (search->quota - search->used) >> PAGE_SHIFT)
		return 0;
	return capable(CAP_SYS_RESOURCE) ? 0 : -EDQUOT;
}

/* Under one lock, so that two calls of a user cannot exceed his quota. */
static int place_next(struct cm_search *search, unsigned long stride,
		      struct cm_place *place)
{
	struct cm_context *ctx = search->ctx;
	int ret;

	mutex_lock(&ctx->lock);
	ret = check_quota(search);
	if (!ret && !cm_placement_next(&ctx->map, search->count, search->align,
				       stride, place))
		ret = -ENOSPC;
	if (!ret)
		cm_placement_insert(&ctx->map, search->extent, place,
				    search->count);
	mutex_unlock(&ctx->lock);
	return ret;
}

/* The same at a certain place. */
static int place_at(struct cm_search *search, unsigned long start)
{
	struct cm_context *ctx = search->ctx;
	int ret;

	mutex_lock(&ctx->lock);
	ret = check_quota(search);
	if (!ret && !cm_placement_take(&ctx->map, search->extent, start,
				       search->count))
		ret = -ENOSPC;
	mutex_unlock(&ctx->lock);
	return ret;
}

static void unplace(struct cm_context *ctx, struct cm_extent *extent)
{
	mutex_lock(&ctx->lock);
	cm_placement_remove(&ctx->map, extent);
	mutex_unlock(&ctx->lock);
}

/*
 * Only @count pages of the extent were taken. Whoever has no time left does not
 * wait until they are given back, either.
 */
static void leave(struct cm_context *ctx, struct cm_extent *extent,
		  unsigned long count, int error)
{
	if (count && cm_deadline_is_over(error)) {
		mutex_lock(&ctx->lock);
		cm_placement_leave(&ctx->map, extent, count);
		mutex_unlock(&ctx->lock);
		return;
	}
	if (count)
		cm_bank_give(&ctx->bank, extent->start, count);
	unplace(ctx, extent);
}

/**
 * cm_search_empty() - make the system leave an extent
 * @ctx:       the context, whose bank's turn the caller has
 * @extent:    linked into its map
 * @deadline:  ktime_get_ns() at which to give up
 * @obstacles: where to remember a pageblock that failed
 *
 * Sleeps while pages are migrated. On failure the extent is taken no more, or
 * spare with what it got when time was up: cm_chunk_give_back() knows.
 *
 * Return: 0, EBUSY when a page would not leave, ENOMEM when the system had
 * nowhere to move one to, EINTR when a fatal signal is pending, ETIMEDOUT.
 */
int cm_search_empty(struct cm_context *ctx, struct cm_extent *extent,
		    u64 deadline, struct cm_obstacles *obstacles)
{
	unsigned long count = extent->count;
	int ret = cm_bank_take_some(&ctx->bank, extent->start, &count, deadline,
				    obstacles);

	/* The time may be up since a batch that failed for another reason. */
	if (ret)
		ret = cm_deadline_check(deadline) ?: ret;
	if (ret)
		leave(ctx, extent, count, ret);
	return ret;
}

static int empty_place(struct cm_search *search)
{
	return cm_search_empty(search->ctx, search->extent, search->deadline,
			       &search->obstacles);
}

/*
 * The bank is locked for one place at a time: others take their turn, and see
 * as taken only what is.
 */
static int try_next(struct cm_search *search, unsigned long stride,
		    struct cm_place *place)
{
	struct cm_turn *migrating = &search->ctx->bank.migrating;
	int ret;

	ret = cm_turn_take(migrating, search->deadline);
	if (ret)
		return ret;
	ret = place_next(search, stride, place);
	if (!ret)
		ret = empty_place(search);
	cm_turn_give(migrating);
	return ret;
}

/* Whether a place was busy, so that another one is worth a try. */
static bool is_busy(struct cm_search *search, int error)
{
	if (error != -EBUSY && error != -ENOMEM)
		return false;
	search->retries++;
	return true;
}

/*
 * Try places @stride apart until one can be emptied. ENOSPC when none is left;
 * any other error ends the search.
 */
static int take_place(struct cm_search *search, unsigned long stride)
{
	struct cm_place place = { 0 };
	int ret;

	for (;;) {
		ret = try_next(search, stride, &place);
		if (!is_busy(search, ret))
			return ret;
		cm_turn_step_aside(&search->ctx->bank.migrating,
				   search->deadline);
		ret = cm_deadline_check(search->deadline);
		if (ret)
			return ret;
	}
}

/*
 * One page that does not want to leave spoils every place that covers it, so
 * look at places a pageblock apart first, and at all of them only then.
 */
static int take_shared(struct cm_search *search)
{
	int ret;

	ret = take_place(search, max(search->align, pageblock_nr_pages));
	if (ret == -ENOSPC && search->retries)
		ret = take_place(search, search->align);
	return ret;
}

static int take_private(struct cm_search *search)
{
	struct cm_place place = { 0 };

	return place_next(search, search->align, &place);
}

static bool is_full(struct cm_context *ctx, unsigned long count)
{
	bool full;

	mutex_lock(&ctx->lock);
	full = cm_placement_free(&ctx->map) < count;
	mutex_unlock(&ctx->lock);
	return full;
}

/* Set *@start to where chunks have made room. */
static int make_hole(struct cm_search *search, unsigned long *start)
{
	struct cm_compaction compaction = {
		.ctx = search->ctx,
		.count = search->count,
		.align = search->align,
		.deadline = search->deadline,
		.obstacles = &search->obstacles,
	};
	int ret;

	search->full = is_full(search->ctx, search->count);
	if (search->full)
		return -ENOSPC;
	ret = cm_compact(&compaction);
	search->full = compaction.full;
	*start = compaction.place;
	return ret;
}

/* ENOSPC when somebody else was faster, or a page has come that stays. */
static int take_hole(struct cm_search *search, unsigned long start)
{
	struct cm_context *ctx = search->ctx;
	int ret;

	if (ctx->private)
		return place_at(search, start);
	ret = cm_turn_take(&ctx->bank.migrating, search->deadline);
	if (ret)
		return ret;
	ret = place_at(search, start);
	if (!ret)
		ret = empty_place(search);
	cm_turn_give(&ctx->bank.migrating);
	return is_busy(search, ret) ? -ENOSPC : ret;
}

/**
 * cm_search_take() - find a place and make its pages ours
 * @search: the search
 * @extent: linked into the context's map on success, or with what was taken
 *          when time was up: cm_chunk_give_back() is the caller's to do then
 *
 * Sleeps while pages are migrated and chunks are moved.
 *
 * Return: 0, or an error for cm_search_reason().
 */
int cm_search_take(struct cm_search *search, struct cm_extent *extent)
{
	unsigned long start;
	int ret;

	search->extent = extent;
	if (search->ctx->private)
		ret = take_private(search);
	else
		ret = take_shared(search);
	/* Each round knows more obstacles, or others were faster again. */
	while (ret == -ENOSPC && !search->obstacles.full) {
		ret = make_hole(search, &start);
		if (ret)
			return ret;
		ret = take_hole(search, start);
		if (ret == -ENOSPC && !search->obstacles.full)
			ret = cm_deadline_check(search->deadline) ?: ret;
	}
	return ret;
}

/**
 * cm_search_give() - give back an extent that was taken
 * @ctx:    the context
 * @extent: the extent; nobody else holds a reference on its pages
 */
void cm_search_give(struct cm_context *ctx, struct cm_extent *extent)
{
	/* In this order: a place that the map calls free must be free. */
	if (!ctx->private)
		cm_bank_give(&ctx->bank, extent->start, extent->count);
	unplace(ctx, extent);
}

/**
 * cm_search_reason() - tell why a search failed
 * @search: the search
 * @error:  what the allocation failed with, or 0
 *
 * Return: the reason.
 */
enum cm_reason cm_search_reason(const struct cm_search *search, int error)
{
	switch (error) {
	case 0:
		return CM_REASON_NONE;
	case -ENOSPC:
		if (search->full || is_full(search->ctx, search->count))
			return CM_REASON_FULL;
		if (search->obstacles.error == -ENOMEM)
			return CM_REASON_NO_MEMORY;
		return search->obstacles.error ? CM_REASON_BUSY :
						 CM_REASON_FRAGMENTED;
	case -ETIMEDOUT:
		return CM_REASON_DEADLINE;
	case -EINTR:
		return CM_REASON_INTERRUPTED;
	case -EDQUOT:
		return CM_REASON_QUOTA;
	case -EINVAL:
		return CM_REASON_INVALID;
	default:
		return CM_REASON_NO_MEMORY;
	}
}

/**
 * cm_search_errno() - the error of a reason
 * @reason: the reason
 *
 * Return: as documented for &enum cm_reason.
 */
int cm_search_errno(enum cm_reason reason)
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
	};

	return errnos[reason];
}
