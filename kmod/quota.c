// SPDX-License-Identifier: GPL-2.0
/*
 * Quota: how much of a context a user may have.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "chunk.h"
#include "quota.h"

/**
 * struct quota - what one user may have
 * @node:  in &cm_context.quotas
 * @uid:   the user; INVALID_UID for whoever has no quota of his own
 * @bytes: CM_QUOTA_NONE for as much as he likes
 */
struct quota {
	struct list_head node;
	kuid_t uid;
	u64 bytes;
};

static struct quota *find(struct cm_context *ctx, kuid_t uid)
{
	struct quota *quota;

	lockdep_assert_held(&ctx->lock);
	list_for_each_entry(quota, &ctx->quotas, node)
		if (quota->uid.val == uid.val)
			return quota;
	return NULL;
}

/**
 * cm_quota_set() - say how much a user may have
 * @ctx:   the context
 * @uid:   the user, or INVALID_UID for whoever has no quota of his own
 * @bytes: as much as that, or CM_QUOTA_NONE
 *
 * What the user has already he keeps.
 *
 * Return: 0 or ENOMEM.
 */
int cm_quota_set(struct cm_context *ctx, kuid_t uid, u64 bytes)
{
	struct quota *fresh = kmalloc(sizeof(*fresh), GFP_KERNEL);
	struct quota *quota;

	if (!fresh)
		return -ENOMEM;
	mutex_lock(&ctx->lock);
	quota = find(ctx, uid);
	if (!quota) {
		quota = fresh;
		fresh = NULL;
		quota->uid = uid;
		list_add(&quota->node, &ctx->quotas);
	}
	quota->bytes = bytes;
	mutex_unlock(&ctx->lock);
	kfree(fresh);
	return 0;
}

/**
 * cm_quota_of() - how much a user may have
 * @ctx: the context, locked
 * @uid: the user
 *
 * Return: bytes, or CM_QUOTA_NONE.
 */
u64 cm_quota_of(struct cm_context *ctx, kuid_t uid)
{
	struct quota *quota = find(ctx, uid) ?: find(ctx, INVALID_UID);

	return quota ? quota->bytes : CM_QUOTA_NONE;
}

/**
 * cm_quota_used() - how much a user has, counting what is still draining
 * @ctx: the context, locked
 * @uid: the user
 *
 * Return: bytes.
 */
u64 cm_quota_used(struct cm_context *ctx, kuid_t uid)
{
	struct cm_extent *extent;
	u64 used = 0;

	lockdep_assert_held(&ctx->lock);
	list_for_each_entry(extent, &ctx->map.extents, node) {
		struct cm_chunk *chunk = extent->owner;

		if (!extent->spare && uid_eq(chunk->uid, uid))
			used += (u64)extent->count << PAGE_SHIFT;
	}
	return used;
}

/**
 * cm_quota_drop() - forget all quotas of a context that nobody uses any more
 * @ctx: the context
 */
void cm_quota_drop(struct cm_context *ctx)
{
	struct quota *quota, *next;

	list_for_each_entry_safe(quota, next, &ctx->quotas, node)
		kfree(quota);
}
