// SPDX-License-Identifier: GPL-2.0
/*
 * Users: who has how much of a context.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "context.h"
#include "owner.h"
#include "quota.h"
#include "users.h"

static int users_copy(const struct cm_users *req, const struct cm_user *users,
		      u32 capacity)
{
	if (copy_to_user(u64_to_user_ptr(req->entries), users,
			 min(req->count, capacity) * sizeof(*users)))
		return -EFAULT;
	return 0;
}

static int users_list_one(struct cm_context *ctx, const struct cm_owner *caller,
			  struct cm_users *req)
{
	struct cm_user user;

	cm_quota_describe(&ctx->quotas, caller->account, current_user_ns(),
			  &user);
	req->count = 1;
	return users_copy(req, &user, req->capacity);
}

/* For those who are trusted with room for as many as they want. */
static int users_list_all(struct cm_context *ctx, struct cm_users *req)
{
	u32 capacity = min_t(u32, req->capacity, CM_USERS_MAX_ENTRIES);
	struct cm_user *users;
	int ret;

	/* One more, because nothing is not a size. */
	users = kvcalloc(capacity + 1, sizeof(*users), GFP_KERNEL_ACCOUNT);
	if (!users)
		return -ENOMEM;
	req->count = cm_quota_list(&ctx->quotas, current_user_ns(), users,
				   capacity);
	ret = users_copy(req, users, capacity);
	kvfree(users);
	return ret;
}

/**
 * cm_users() - describe who has how much of a context
 * @ctx:    the context
 * @caller: who opened the node; all that is described without CAP_SYS_ADMIN
 * @req:    the request; its output members are filled in
 *
 * Waits for nobody.
 *
 * Return: 0, EFAULT or ENOMEM.
 */
int cm_users(struct cm_context *ctx, const struct cm_owner *caller,
	     struct cm_users *req)
{
	if (capable(CAP_SYS_ADMIN))
		return users_list_all(ctx, req);
	return users_list_one(ctx, caller, req);
}
