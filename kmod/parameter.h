/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Parameter: contexts for boards whose device tree cannot be changed.
 */
#ifndef CM_PARAMETER_H
#define CM_PARAMETER_H

int cm_parameter_read(void);
void cm_parameter_drop(void);
void cm_parameter_create(void);

#endif /* CM_PARAMETER_H */
