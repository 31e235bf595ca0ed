// SPDX-License-Identifier: GPL-2.0
/*
 * Quota: how much of a context a user may have, and has.
 */
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
 * struct quota_user - what one user may have, and has
 * @node:    in &cm_quotas.users
 * @uid:     the user; INVALID_UID for everybody without limits of their own
 * @limited: limits were set for this user
 * @usage:   those, if @limited, and what is charged
 */
struct quota_user {
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

static struct quota_user *quota_find(struct cm_quotas *quotas, kuid_t uid)
{
	struct quota_user *user;

	lockdep_assert_held(&quotas->lock);
	list_for_each_entry(user, &quotas->users, node)
		if (user->uid.val == uid.val)
			return user;
	return NULL;
}

/* @fresh is used up and cleared if there is no such user yet. */
static struct quota_user *quota_find_or_add(struct cm_quotas *quotas,
					    kuid_t uid,
					    struct quota_user **fresh)
{
	struct quota_user *user = quota_find(quotas, uid);

	if (user)
		return user;
	user = *fresh;
	*fresh = NULL;
	*user = (struct quota_user){ .uid = uid };
	list_add(&user->node, &quotas->users);
	return user;
}

/* @user and @everybody may be NULL. */
static void quota_apply(const struct quota_user *user,
			const struct quota_user *everybody,
			struct cm_usage *usage)
{
	*usage = user ? user->usage : (struct cm_usage){ 0 };
	if (!user || !user->limited)
		usage->limits = everybody ? everybody->usage.limits : quota_none;
}

static void quota_fill(struct cm_quotas *quotas, kuid_t uid,
		       struct cm_usage *usage)
{
	quota_apply(quota_find(quotas, uid), quota_find(quotas, INVALID_UID),
		    usage);
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
	struct quota_user *fresh = kmalloc(sizeof(*fresh), GFP_KERNEL);
	struct quota_user *user;

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

static void quota_describe(kuid_t uid, const struct cm_usage *usage,
			   struct user_namespace *ns, struct cm_user *described)
{
	*described = (struct cm_user){
		.bytes = usage->bytes,
		.quota_bytes = usage->limits.bytes,
		.uid = from_kuid_munged(ns, uid),
		.chunks = usage->chunks,
		.max_chunks = usage->limits.chunks,
	};
}

/**
 * cm_quota_describe() - describe a user of a context
 * @quotas:    of the context
 * @uid:       the user
 * @ns:        user namespace in which the number of the user is given
 * @described: filled in
 */
void cm_quota_describe(struct cm_quotas *quotas, kuid_t uid,
		       struct user_namespace *ns, struct cm_user *described)
{
	struct cm_usage usage;

	cm_quota_read(quotas, uid, &usage);
	quota_describe(uid, &usage, ns, described);
}

/* Limits that were set to none again are of no interest any more. */
static bool quota_is_listed(const struct quota_user *user)
{
	const struct cm_limits *limits = &user->usage.limits;

	if (!uid_valid(user->uid))
		return false;
	return user->usage.chunks ||
	       (user->limited && (limits->bytes != CM_QUOTA_NONE ||
				  limits->chunks != CM_QUOTA_NO_CHUNKS));
}

/**
 * cm_quota_list() - describe the users of a context
 * @quotas:   of the context
 * @ns:       user namespace in which the numbers of the users are given
 * @list:     filled in
 * @capacity: number of entries of @list
 *
 * Return: the number of users who have chunks or limits of their own, of whom at
 * most @capacity were described.
 */
u32 cm_quota_list(struct cm_quotas *quotas, struct user_namespace *ns,
		  struct cm_user *list, u32 capacity)
{
	const struct quota_user *user, *everybody;
	struct cm_usage usage;
	u32 count = 0;

	spin_lock(&quotas->lock);
	everybody = quota_find(quotas, INVALID_UID);
	list_for_each_entry(user, &quotas->users, node) {
		if (!quota_is_listed(user))
			continue;
		if (count < capacity) {
			quota_apply(user, everybody, &usage);
			quota_describe(user->uid, &usage, ns, &list[count]);
		}
		count++;
	}
	spin_unlock(&quotas->lock);
	return count;
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
 * @exceed: the user's limits, as CAP_SYS_RESOURCE does with disk quotas, too
 * @before: filled in with what the user had before, also on failure
 *
 * Return: 0; EDQUOT for too many bytes, EUSERS for too many chunks, of the user
 * or in the context; ENOMEM.
 */
int cm_quota_charge(struct cm_quotas *quotas, kuid_t uid, unsigned long count,
		    bool exceed, struct cm_usage *before)
{
	struct quota_user *fresh = kmalloc(sizeof(*fresh), GFP_KERNEL);
	struct quota_user *user;
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
	struct quota_user *user;

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
	struct quota_user *user, *next;

	list_for_each_entry_safe(user, next, &quotas->users, node)
		kfree(user);
}
