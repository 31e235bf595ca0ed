/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Quota: how much of a context a user may have.
 */
#ifndef CM_QUOTA_H
#define CM_QUOTA_H

#include "context.h"

int cm_quota_set(struct cm_context *ctx, kuid_t uid, u64 bytes);
u64 cm_quota_of(struct cm_context *ctx, kuid_t uid);
u64 cm_quota_used(struct cm_context *ctx, kuid_t uid);
void cm_quota_drop(struct cm_context *ctx);

#endif /* CM_QUOTA_H */
