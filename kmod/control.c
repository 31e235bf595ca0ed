// SPDX-License-Identifier: GPL-2.0
/*
 * Control: contexts made and removed at run time, and quotas.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/string.h>

#include "bank.h"
#include "context.h"
#include "control.h"
#include "ioctl.h"
#include "wish.h"

static bool is_terminated(const char *text, size_t room)
{
	return strnlen(text, room) < room;
}

static int create(const struct cm_create *req)
{
	struct cm_wish wish = {
		.offset = req->offset,
		.size = req->size,
		.min_align = req->min_alignment ?: PAGE_SIZE,
		.private = req->flags & CM_CONTEXT_PRIVATE,
	};
	int ret;

	wish.bank = cm_bank_find(req->bank);
	if (!wish.bank)
		return -ENOENT;
	strscpy(wish.name, req->name, sizeof(wish.name));
	ret = cm_wish_grant(&wish);
	of_node_put(wish.bank);
	return ret;
}

static int call_create(struct cm_call *call)
{
	const struct cm_create *req = call->arg;

	if (req->flags & ~CM_CONTEXT_PRIVATE || req->reserved ||
	    !is_terminated(req->name, sizeof(req->name)) ||
	    !is_terminated(req->bank, sizeof(req->bank)))
		return -EINVAL;
	return create(req);
}

static int call_destroy(struct cm_call *call)
{
	const struct cm_destroy *req = call->arg;

	if (!is_terminated(req->name, sizeof(req->name)))
		return -EINVAL;
	return cm_wish_revoke(req->name);
}

static int call_quota(struct cm_call *call)
{
	const struct cm_quota *req = call->arg;
	kuid_t uid = INVALID_UID;

	if (req->flags || !is_terminated(req->name, sizeof(req->name)))
		return -EINVAL;
	if (req->uid != CM_QUOTA_ANYBODY) {
		uid = make_kuid(current_user_ns(), req->uid);
		if (!uid_valid(uid))
			return -EINVAL;
	}
	return cm_context_set_quota(req->name, uid, req->bytes);
}

static const struct cm_ioctl control_ioctls[] = {
	CM_IOCTL(CREATE, cm_create, reserved, false, call_create),
	CM_IOCTL(DESTROY, cm_destroy, name, false, call_destroy),
	CM_IOCTL(QUOTA, cm_quota, flags, false, call_quota),
};

static long control_ioctl(struct file *file, unsigned int cmd,
			  unsigned long param)
{
	struct cm_call call = { .fd = -1 };

	/* The descriptor may have come from somebody who may. */
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	return cm_ioctl(control_ioctls, ARRAY_SIZE(control_ioctls), cmd, param,
			&call);
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.unlocked_ioctl = control_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice control = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "cm-control",
	.nodename = "cm/control",
	.mode = 0600,
	.fops = &control_fops,
};

/**
 * cm_control_init() - register /dev/cm/control
 *
 * Return: 0 or an error.
 */
int cm_control_init(void)
{
	return misc_register(&control);
}

/**
 * cm_control_exit() - undo cm_control_init()
 */
void cm_control_exit(void)
{
	misc_deregister(&control);
}
