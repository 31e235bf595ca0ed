/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Quota: how much of a context a user may have, and has.
 */
#ifndef CM_QUOTA_H
#define CM_QUOTA_H

#include <linux/types.h>
#include <linux/uidgid.h>

struct cm_context;
struct cred;

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

unsigned int cm_quota_max_chunks(void);
kuid_t cm_quota_account(const struct cred *cred);
int cm_quota_set(struct cm_context *ctx, kuid_t uid,
		 const struct cm_limits *limits);
void cm_quota_read(struct cm_context *ctx, kuid_t uid, struct cm_usage *usage);
int cm_quota_charge(struct cm_context *ctx, kuid_t uid, unsigned long count,
		    struct cm_usage *before);
void cm_quota_uncharge(struct cm_context *ctx, kuid_t uid, unsigned long count);
void cm_quota_drop(struct cm_context *ctx);

#endif /* CM_QUOTA_H */
