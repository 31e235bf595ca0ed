// SPDX-License-Identifier: GPL-2.0
/*
 * Module: loading and unloading.
 */
#include <linux/init.h>
#include <linux/module.h>

#include "attest.h"
#include "context.h"

static int __init cm_init(void)
{
	int ret = cm_attest_init();

	if (ret)
		return ret;
	ret = cm_context_init();
	if (ret)
		cm_attest_exit();
	return ret;
}
module_init(cm_init);

static void __exit cm_exit(void)
{
	cm_context_exit();
	cm_attest_exit();
}
module_exit(cm_exit);

MODULE_DESCRIPTION("Contiguous memory for user space");
MODULE_AUTHOR("cm-agent authors");
MODULE_VERSION(CM_MODULE_VERSION);
MODULE_LICENSE("GPL");
