// SPDX-License-Identifier: GPL-2.0
/*
 * Module: loading and unloading.
 */
#include <linux/init.h>
#include <linux/module.h>

#include "attest.h"
#include "context.h"
#include "control.h"
#include "parameter.h"

static int __init cm_init(void)
{
	int ret = cm_attest_init();

	if (ret)
		return ret;
	ret = cm_context_init();
	if (ret)
		goto exit_attest;
	ret = cm_parameter_apply();
	if (ret)
		goto exit_context;
	ret = cm_control_init();
	if (ret)
		goto exit_context;
	return 0;

exit_context:
	cm_context_exit();
exit_attest:
	cm_attest_exit();
	return ret;
}
module_init(cm_init);

static void __exit cm_exit(void)
{
	cm_control_exit();
	cm_context_exit();
	cm_attest_exit();
}
module_exit(cm_exit);

MODULE_DESCRIPTION("Contiguous memory for user space");
MODULE_AUTHOR("cm-agent authors");
MODULE_VERSION(CM_MODULE_VERSION);
MODULE_LICENSE("GPL");
