// SPDX-License-Identifier: GPL-2.0
/*
 * Control: contexts made and removed at run time, and quotas.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/string.h>

#include "bank.h"
#include "context.h"
#include "control.h"
#include "driver.h"
#include "ioctl.h"
#include "quota.h"

static bool control_is_text(const char *text, size_t room)
{
	return strnlen(text, room) < room;
}

static int control_create(const struct cm_create *req, struct cm_refusal *why)
{
	struct cm_spec spec = {
		.bank = cm_bank_find(req->bank),
		.offset = req->offset,
		.size = req->size,
		.min_align = req->min_alignment ?: PAGE_SIZE,
		.private = req->flags & CM_CONTEXT_PRIVATE,
	};
	int ret;

	if (!spec.bank)
		return cm_refuse(why, -ENOENT, "there is no /reserved-memory/%s",
				 req->bank);
	strscpy(spec.name, req->name, sizeof(spec.name));
	ret = cm_driver_create(spec, why);
	of_node_put(spec.bank);
	return ret;
}

static int control_call_create(struct cm_call *call)
{
	struct cm_create *req = call->arg;
	struct cm_refusal why = { "" };
	int ret;

	if (req->flags & ~CM_CONTEXT_PRIVATE || req->reserved ||
	    memchr_inv(req->error, 0, sizeof(req->error)) ||
	    !control_is_text(req->name, sizeof(req->name)) ||
	    !control_is_text(req->bank, sizeof(req->bank)))
		return -EINVAL;
	ret = control_create(req, &why);
	strscpy(req->error, why.text, sizeof(req->error));
	return ret;
}

static int control_call_destroy(struct cm_call *call)
{
	const struct cm_destroy *req = call->arg;

	if (!control_is_text(req->name, sizeof(req->name)))
		return -EINVAL;
	return cm_driver_destroy(req->name);
}

static int control_read_uid(const struct cm_quota *req, kuid_t *uid)
{
	*uid = INVALID_UID;
	if (req->flags || req->reserved ||
	    !control_is_text(req->name, sizeof(req->name)))
		return -EINVAL;
	if (req->uid == CM_QUOTA_ANYBODY)
		return 0;
	*uid = make_kuid(current_user_ns(), req->uid);
	return uid_valid(*uid) ? 0 : -EINVAL;
}

static int control_call_quota(struct cm_call *call)
{
	const struct cm_quota *req = call->arg;
	const struct cm_limits limits = {
		.bytes = req->bytes,
		.chunks = req->chunks,
	};
	struct cm_context *ctx;
	kuid_t uid;
	int ret = control_read_uid(req, &uid);

	if (ret)
		return ret;
	ctx = cm_context_find(req->name);
	if (!ctx)
		return -ENOENT;
	ret = cm_quota_set(&ctx->quotas, uid, &limits);
	put_device(&ctx->dev);
	return ret;
}

static int control_call_get_quota(struct cm_call *call)
{
	struct cm_get_quota *req = call->arg;
	struct cm_context *ctx;
	struct cm_usage usage;
	kuid_t uid;
	int ret = control_read_uid(&req->quota, &uid);

	if (ret || req->used || req->used_chunks || req->reserved ||
	    req->quota.bytes || req->quota.chunks)
		return ret ?: -EINVAL;
	ctx = cm_context_find(req->quota.name);
	if (!ctx)
		return -ENOENT;
	cm_quota_read(&ctx->quotas, uid, &usage);
	put_device(&ctx->dev);
	req->quota.bytes = usage.limits.bytes;
	req->quota.chunks = usage.limits.chunks;
	req->used = usage.bytes;
	req->used_chunks = usage.chunks;
	return 0;
}

static const struct cm_ioctl control_ioctls[] = {
	CM_IOCTL(CREATE, cm_create, error, true, control_call_create),
	CM_IOCTL(DESTROY, cm_destroy, name, false, control_call_destroy),
	CM_IOCTL(QUOTA, cm_quota, reserved, false, control_call_quota),
	CM_IOCTL(GET_QUOTA, cm_get_quota, reserved, false,
		 control_call_get_quota),
};

static long control_ioctl(struct file *file, unsigned int cmd,
			  unsigned long param)
{
	struct cm_call call = { .fd = -1 };

	/* The descriptor may have come from somebody with more rights. */
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

static bool control_is_there;

/**
 * cm_control_init() - register /dev/cm/control
 *
 * Contexts may be in use by then, so the module has to stay without it.
 */
void cm_control_init(void)
{
	int ret = misc_register(&control);

	if (ret)
		pr_err("cm: there is no /dev/cm/control: error %d\n", ret);
	control_is_there = !ret;
}

/**
 * cm_control_exit() - undo cm_control_init()
 */
void cm_control_exit(void)
{
	if (control_is_there)
		misc_deregister(&control);
}
