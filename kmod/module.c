// SPDX-License-Identifier: GPL-2.0
/*
 * Module: loading and unloading.
 */
#include <linux/init.h>
#include <linux/module.h>

#include "background.h"
#include "context.h"
#include "control.h"
#include "driver.h"
#include "parameter.h"
#include "sync.h"

/*
 * Once user space can open a node nothing may fail any more: the code would be
 * freed under it, whatever references there are. So the platform driver, which
 * makes the nodes, is the last that may.
 */
static int __init cm_init(void)
{
	int ret = cm_parameter_read();

	if (ret)
		return ret;
	ret = cm_sync_init();
	if (ret)
		goto drop_parameter;
	ret = cm_background_init();
	if (ret)
		goto exit_sync;
	ret = cm_driver_init();
	if (ret)
		goto exit_background;
	cm_control_init();
	cm_parameter_create();
	return 0;

exit_background:
	cm_background_exit();
exit_sync:
	cm_sync_exit();
drop_parameter:
	cm_parameter_drop();
	return ret;
}
module_init(cm_init);

static void __exit cm_exit(void)
{
	cm_control_exit();
	cm_driver_exit();
	cm_context_exit();
	cm_background_exit();
	cm_sync_exit();
}
module_exit(cm_exit);

MODULE_DESCRIPTION("Contiguous memory for user space");
MODULE_AUTHOR("cm-agent authors");
MODULE_VERSION(CM_MODULE_VERSION);
MODULE_LICENSE("GPL");
