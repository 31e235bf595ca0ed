/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Quota: how much of a context a user may have, and has.
 */
#ifndef CM_QUOTA_H
#define CM_QUOTA_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/uidgid.h>

struct cm_user;
struct cred;
struct user_namespace;

/**
 * struct cm_limits - what a user may have
 * @bytes:  CM_QUOTA_NONE for no limit
 * @chunks: their number, CM_QUOTA_NO_CHUNKS for no limit
 */
struct cm_limits {
	u64 bytes;
	u32 chunks;
};

/**
 * struct cm_usage - what a user may have, and has
 * @limits: what applies
 * @bytes:  of chunks, of requests that are under way, and of what is draining
 * @chunks: their number
 */
struct cm_usage {
	struct cm_limits limits;
	u64 bytes;
	u32 chunks;
};

/**
 * struct cm_quotas - what users may have of a context, and have
 * @users:   those who have limits of their own, or chunks
 * @charged: number of chunks that they are charged for
 */
struct cm_quotas {
	/** @lock: protects what is below; taken last of all */
	spinlock_t lock;
	struct list_head users;
	unsigned int charged;
};

void cm_quota_init(struct cm_quotas *quotas);
unsigned int cm_quota_max_chunks(void);
kuid_t cm_quota_account(const struct cred *cred);
int cm_quota_set(struct cm_quotas *quotas, kuid_t uid,
		 const struct cm_limits *limits);
void cm_quota_read(struct cm_quotas *quotas, kuid_t uid, struct cm_usage *usage);
void cm_quota_describe(struct cm_quotas *quotas, kuid_t uid,
		       struct user_namespace *ns, struct cm_user *described);
u32 cm_quota_list(struct cm_quotas *quotas, struct user_namespace *ns,
		  struct cm_user *list, u32 capacity);
int cm_quota_charge(struct cm_quotas *quotas, kuid_t uid, unsigned long count,
		    bool exceed, struct cm_usage *before);
void cm_quota_uncharge(struct cm_quotas *quotas, kuid_t uid,
		       unsigned long count);
void cm_quota_drop(struct cm_quotas *quotas);

#endif /* CM_QUOTA_H */
