/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Users: who has how much of a context.
 */
#ifndef CM_USERS_H
#define CM_USERS_H

struct cm_context;
struct cm_owner;
struct cm_users;

int cm_users(struct cm_context *ctx, const struct cm_owner *caller,
	     struct cm_users *req);

#endif /* CM_USERS_H */
