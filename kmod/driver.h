/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Driver: making contexts and their nodes, for the device tree and for others.
 */
#ifndef CM_DRIVER_H
#define CM_DRIVER_H

#include "spec.h"

int cm_driver_init(void);
void cm_driver_exit(void);

int cm_driver_create(struct cm_spec spec, struct cm_refusal *why);
int cm_driver_destroy(const char *name);

#endif /* CM_DRIVER_H */
