/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Background: works that nobody waits for.
 */
#ifndef CM_BACKGROUND_H
#define CM_BACKGROUND_H

#include <linux/workqueue.h>

int cm_background_init(void);
void cm_background_exit(void);
void cm_background_later(struct delayed_work *work, unsigned long delay);

#endif /* CM_BACKGROUND_H */
