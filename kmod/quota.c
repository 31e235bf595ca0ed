// SPDX-License-Identifier: GPL-2.0
/*
 * Quota: how much of a context a user may have, and has.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>

#include <uapi/linux/cm.h>

#include "quota.h"

static int quota_set_max_chunks(const char *text, const struct kernel_param *param)
{
	return param_set_uint_minmax(text, param, 1, 8192);
}

static const struct kernel_param_ops quota_max_chunks_ops = {
	.set = quota_set_max_chunks,
	.get = param_get_uint,
};

static unsigned int quota_max_chunks = 4096;
module_param_cb(max_chunks, &quota_max_chunks_ops, &quota_max_chunks, 0644);
MODULE_PARM_DESC(max_chunks, "chunks that a context has at most, 1 to 8192 (4096)");

/**
 * struct cm_user - what one user may have, and has
 * @node:    in &cm_quotas.users
 * @uid:     the user; INVALID_UID for everybody without limits of their own
 * @limited: limits were set for this user
 * @usage:   those, if @limited, and what is charged
 */
struct cm_user {
	struct list_head node;
	kuid_t uid;
	bool limited;
	struct cm_usage usage;
};

static const struct cm_limits quota_none = {
	.bytes = CM_QUOTA_NONE,
	.chunks = CM_QUOTA_NO_CHUNKS,
};

/**
 * cm_quota_max_chunks() - how many chunks a context may have
 *
 * Return: the number.
 */
unsigned int cm_quota_max_chunks(void)
{
	return READ_ONCE(quota_max_chunks);
}

/**
 * cm_quota_init() - begin without limits
 * @quotas: of a new context
 */
void cm_quota_init(struct cm_quotas *quotas)
{
	spin_lock_init(&quotas->lock);
	INIT_LIST_HEAD(&quotas->users);
	quotas->charged = 0;
}

/**
 * cm_quota_account() - the user whose quota a process uses
 * @cred: credentials of who opened the node
 *
 * A user namespace may have many users of its own, all of whom count as the
 * one who made it: else anybody could have as many quotas.
 *
 * Return: the user.
 */
kuid_t cm_quota_account(const struct cred *cred)
{
	const struct user_namespace *ns = cred->user_ns;
	kuid_t uid = cred->euid;

	for (; ns->parent; ns = ns->parent)
		uid = ns->owner;
	return uid;
}

static struct cm_user *quota_find(struct cm_quotas *quotas, kuid_t uid)
{
	struct cm_user *user;

	lockdep_assert_held(&quotas->lock);
	list_for_each_entry(user, &quotas->users, node)
		if (user->uid.val == uid.val)
			return user;
	return NULL;
}

/* @fresh is used up and cleared if there is no such user yet. */
static struct cm_user *quota_find_or_add(struct cm_quotas *quotas, kuid_t uid,
					 struct cm_user **fresh)
{
	struct cm_user *user = quota_find(quotas, uid);

	if (user)
		return user;
	user = *fresh;
	*fresh = NULL;
	*user = (struct cm_user){ .uid = uid };
	list_add(&user->node, &quotas->users);
	return user;
}

static void quota_fill(struct cm_quotas *quotas, kuid_t uid,
		       struct cm_usage *usage)
{
	const struct cm_user *user = quota_find(quotas, uid);
	const struct cm_user *everybody = quota_find(quotas, INVALID_UID);

	*usage = user ? user->usage : (struct cm_usage){ 0 };
	if (!user || !user->limited)
		usage->limits = everybody ? everybody->usage.limits : quota_none;
}

/**
 * cm_quota_set() - set what a user may have
 * @quotas: of the context
 * @uid:    the user, or INVALID_UID for everybody without limits of their own
 * @limits: what the user may have
 *
 * What the user has already is kept.
 *
 * Return: 0 or ENOMEM.
 */
int cm_quota_set(struct cm_quotas *quotas, kuid_t uid,
		 const struct cm_limits *limits)
{
	struct cm_user *fresh = kmalloc(sizeof(*fresh), GFP_KERNEL);
	struct cm_user *user;

	if (!fresh)
		return -ENOMEM;
	spin_lock(&quotas->lock);
	user = quota_find_or_add(quotas, uid, &fresh);
	user->limited = true;
	user->usage.limits = *limits;
	spin_unlock(&quotas->lock);
	kfree(fresh);
	return 0;
}

/**
 * cm_quota_read() - what a user may have, and has
 * @quotas: of the context
 * @uid:   the user, or INVALID_UID for what applies to everybody
 * @usage: filled in
 */
void cm_quota_read(struct cm_quotas *quotas, kuid_t uid, struct cm_usage *usage)
{
	spin_lock(&quotas->lock);
	quota_fill(quotas, uid, usage);
	spin_unlock(&quotas->lock);
}

static int quota_check(struct cm_quotas *quotas, const struct cm_usage *usage,
		       unsigned long count, bool exceed)
{
	const struct cm_limits *limits = &usage->limits;

	if (quotas->charged >= cm_quota_max_chunks())
		return -EUSERS;
	if (exceed)
		return 0;
	if (usage->chunks >= limits->chunks)
		return -EUSERS;
	if (limits->bytes == CM_QUOTA_NONE)
		return 0;
	if (usage->bytes > limits->bytes ||
	    count > (limits->bytes - usage->bytes) >> PAGE_SHIFT)
		return -EDQUOT;
	return 0;
}

/**
 * cm_quota_charge() - charge a user for a chunk to come
 * @quotas: of the context
 * @uid:    the user
 * @count:  page frames
 * @before: filled in with what the user had before, also on failure
 *
 * CAP_SYS_RESOURCE exceeds a user's limits, as it does with disk quotas.
 *
 * Return: 0; EDQUOT for too many bytes, EUSERS for too many chunks, of the user
 * or in the context; ENOMEM.
 */
int cm_quota_charge(struct cm_quotas *quotas, kuid_t uid, unsigned long count,
		    struct cm_usage *before)
{
	struct cm_user *fresh = kmalloc(sizeof(*fresh), GFP_KERNEL);
	bool exceed = capable(CAP_SYS_RESOURCE);
	struct cm_user *user;
	int ret;

	if (!fresh)
		return -ENOMEM;
	spin_lock(&quotas->lock);
	quota_fill(quotas, uid, before);
	ret = quota_check(quotas, before, count, exceed);
	if (!ret) {
		user = quota_find_or_add(quotas, uid, &fresh);
		user->usage.bytes += (u64)count << PAGE_SHIFT;
		user->usage.chunks++;
		quotas->charged++;
	}
	spin_unlock(&quotas->lock);
	kfree(fresh);
	return ret;
}

/**
 * cm_quota_uncharge() - undo cm_quota_charge()
 * @quotas: of the context
 * @uid:    the same user
 * @count:  the same number of page frames
 */
void cm_quota_uncharge(struct cm_quotas *quotas, kuid_t uid,
		       unsigned long count)
{
	struct cm_user *user;

	spin_lock(&quotas->lock);
	user = quota_find(quotas, uid);
	quotas->charged--;
	user->usage.bytes -= (u64)count << PAGE_SHIFT;
	user->usage.chunks--;
	if (!user->usage.chunks && !user->limited) {
		list_del(&user->node);
		kfree(user);
	}
	spin_unlock(&quotas->lock);
}

/**
 * cm_quota_drop() - forget all limits of a context that nobody uses any more
 * @quotas: of the context
 */
void cm_quota_drop(struct cm_quotas *quotas)
{
	struct cm_user *user, *next;

	list_for_each_entry_safe(user, next, &quotas->users, node)
		kfree(user);
}
