// SPDX-License-Identifier: GPL-2.0
/*
 * Ioctl: carrying structures that grow in and out.
 */
#include <linux/ioctl.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "ioctl.h"

/* The size may differ: callers are older or newer than this module. */
static bool ioctl_is_same(unsigned int cmd, unsigned int other)
{
	return _IOC_TYPE(cmd) == _IOC_TYPE(other) &&
	       _IOC_NR(cmd) == _IOC_NR(other) && _IOC_DIR(cmd) == _IOC_DIR(other);
}

static const struct cm_ioctl *ioctl_find(const struct cm_ioctl *table,
					 size_t count, unsigned int cmd)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (ioctl_is_same(cmd, table[i].cmd))
			return &table[i];
	return NULL;
}

static int ioctl_copy_in(const struct cm_ioctl *ioctl, void *arg,
			 const void __user *uarg, size_t usize)
{
	if (usize < ioctl->first_size)
		return -EINVAL;
	if (!(_IOC_DIR(ioctl->cmd) & _IOC_WRITE))
		return 0;
	return copy_struct_from_user(arg, _IOC_SIZE(ioctl->cmd), uarg, usize);
}

static int ioctl_copy_out(const struct cm_ioctl *ioctl, const void *arg,
			  void __user *uarg, size_t usize)
{
	size_t ksize = _IOC_SIZE(ioctl->cmd);

	if (!(_IOC_DIR(ioctl->cmd) & _IOC_READ))
		return 0;
	if (copy_to_user(uarg, arg, min(ksize, usize)))
		return -EFAULT;
	if (usize > ksize && clear_user(uarg + ksize, usize - ksize))
		return -EFAULT;
	return 0;
}

static int ioctl_serve(const struct cm_ioctl *ioctl, struct cm_call *call,
		       void __user *uarg, size_t usize)
{
	int ret, copied = 0;

	if (ioctl->ignores_tail)
		usize = min_t(size_t, usize, _IOC_SIZE(ioctl->cmd));
	ret = ioctl_copy_in(ioctl, call->arg, uarg, usize);
	if (ret)
		return ret;
	ret = ioctl->serve(call);
	if (!ret || ioctl->reports_failure)
		copied = ioctl_copy_out(ioctl, call->arg, uarg, usize);
	return ret ?: copied;
}

/**
 * cm_ioctl() - serve a call
 * @table: the calls that there are
 * @count: their number
 * @cmd:   of the ioctl
 * @param: of the ioctl
 * @call:  with all but @arg set, which is gone when this returns
 *
 * Return: 0 or an error, after the structure was copied back.
 */
int cm_ioctl(const struct cm_ioctl *table, size_t count, unsigned int cmd,
	     unsigned long param, struct cm_call *call)
{
	const struct cm_ioctl *ioctl = ioctl_find(table, count, cmd);
	/* As much as an allocation needs, which is what comes often. */
	u64 small[16] = { 0 };
	int ret;

	if (!ioctl)
		return -ENOTTY;
	call->arg = small;
	if (_IOC_SIZE(ioctl->cmd) > sizeof(small))
		call->arg = kzalloc(_IOC_SIZE(ioctl->cmd), GFP_KERNEL);
	if (!call->arg)
		return -ENOMEM;
	ret = ioctl_serve(ioctl, call, (void __user *)param, _IOC_SIZE(cmd));
	if (call->arg != small)
		kfree(call->arg);
	call->arg = NULL;
	return ret;
}
