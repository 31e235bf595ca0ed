/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Layout: which chunk lies where in a context.
 */
#ifndef CM_LAYOUT_H
#define CM_LAYOUT_H

struct cm_context;
struct cm_layout;
struct cm_owner;

int cm_layout(struct cm_context *ctx, const struct cm_owner *caller,
	      struct cm_layout *req);

#endif /* CM_LAYOUT_H */
