/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Control: contexts made and removed at run time, and quotas.
 */
#ifndef CM_CONTROL_H
#define CM_CONTROL_H

void cm_control_init(void);
void cm_control_exit(void);

#endif /* CM_CONTROL_H */
