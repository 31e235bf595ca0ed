/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Character device: the node of a context.
 */
#ifndef CM_CHARDEV_H
#define CM_CHARDEV_H

extern const struct file_operations cm_chardev_fops;

#endif /* CM_CHARDEV_H */
