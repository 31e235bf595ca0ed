// SPDX-License-Identifier: GPL-2.0
/*
 * Limit: a module parameter that is a number in a range.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/printk.h>

#include "limit.h"

static int limit_set(const char *text, const struct kernel_param *param)
{
	struct cm_limit *limit = param->arg;
	unsigned int value;
	int ret = kstrtouint(text, 0, &value);

	if (ret)
		return ret;
	if (value < limit->min || value > limit->max) {
		pr_err("cm: %s is %u: must be %u to %u\n", param->name, value,
		       limit->min, limit->max);
		return -EINVAL;
	}
	WRITE_ONCE(limit->value, value);
	return 0;
}

static int limit_get(char *text, const struct kernel_param *param)
{
	const struct cm_limit *limit = param->arg;

	return sprintf(text, "%u\n", READ_ONCE(limit->value));
}

const struct kernel_param_ops cm_limit_ops = {
	.set = limit_set,
	.get = limit_get,
};
