/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Layout: which chunk lies where in a context.
 */
#ifndef CM_LAYOUT_H
#define CM_LAYOUT_H

#include "context.h"

int cm_layout(struct cm_context *ctx, struct cm_layout *req);

#endif /* CM_LAYOUT_H */
