/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Attributes: single values in /sys/class/cm/<context>/.
 */
#ifndef CM_ATTRIBUTES_H
#define CM_ATTRIBUTES_H

struct attribute_group;

extern const struct attribute_group *cm_attribute_groups[];

#endif /* CM_ATTRIBUTES_H */
