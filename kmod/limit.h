/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Limit: a module parameter that is a number in a range.
 */
#ifndef CM_LIMIT_H
#define CM_LIMIT_H

#include <linux/moduleparam.h>

/**
 * struct cm_limit - a module parameter
 * @value: as it is; read with READ_ONCE()
 * @min:   at least
 * @max:   at most
 */
struct cm_limit {
	unsigned int value;
	unsigned int min;
	unsigned int max;
};

extern const struct kernel_param_ops cm_limit_ops;

#endif /* CM_LIMIT_H */
