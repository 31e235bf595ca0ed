// SPDX-License-Identifier: GPL-2.0
/*
 * Driver: making contexts and their nodes, for the device tree and for others.
 */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/of.h>
#include <linux/platform_device.h>
#include <linux/slab.h>

#include "attributes.h"
#include "chardev.h"
#include "chunk.h"
#include "compat.h"
#include "context.h"
#include "driver.h"

#define DRIVER_MAX_CONTEXTS	64

static dev_t driver_devt;
static DEFINE_IDA(driver_minors);
/* One context is made or removed at a time. The outermost of all locks. */
static DEFINE_MUTEX(driver_lock);

static char *driver_devnode(CM_DEVNODE_DEVICE *dev, umode_t *mode)
{
	return kasprintf(GFP_KERNEL, "cm/%s", dev_name(dev));
}

static struct class driver_class = {
	.name = "cm",
	.dev_groups = cm_attribute_groups,
	.devnode = driver_devnode,
};

static bool driver_has_context(const char *name)
{
	struct cm_context *ctx = cm_context_find(name);

	if (ctx)
		put_device(&ctx->dev);
	return ctx;
}

static int driver_add_node(struct cm_context *ctx, struct device *parent,
			   struct cm_refusal *why)
{
	int ret, minor;

	minor = ida_alloc_max(&driver_minors, DRIVER_MAX_CONTEXTS - 1,
			      GFP_KERNEL);
	if (minor < 0)
		return cm_refuse(why, minor, "no memory, or there are %d contexts already",
				 DRIVER_MAX_CONTEXTS);
	ctx->dev.class = &driver_class;
	ctx->dev.parent = parent;
	ctx->dev.devt = MKDEV(MAJOR(driver_devt), minor);
	cdev_init(&ctx->cdev, &cm_chardev_fops);
	ctx->cdev.owner = THIS_MODULE;
	ret = cdev_device_add(&ctx->cdev, &ctx->dev);
	if (ret) {
		ida_free(&driver_minors, minor);
		return cm_refuse(why, ret, "no memory for the node");
	}
	cm_context_enlist(ctx);
	return 0;
}

/* The caller's reference remains; chunks and open nodes have their own. */
static void driver_remove_node(struct cm_context *ctx)
{
	cm_context_lock(ctx);
	ctx->gone = true;
	cm_context_unlock(ctx);
	cm_context_delist(ctx);
	cdev_device_del(&ctx->cdev, &ctx->dev);
	ida_free(&driver_minors, MINOR(ctx->dev.devt));
}

/* All contexts are made here, whatever asks for them. */
static int driver_make(struct device *parent, struct cm_spec spec,
		       struct cm_refusal *why)
{
	struct cm_context *ctx;
	int ret;

	lockdep_assert_held(&driver_lock);
	ret = cm_spec_check(&spec, why);
	if (ret)
		return ret;
	if (driver_has_context(spec.name))
		return cm_refuse(why, -EEXIST,
				 "another context is called \"%s\"", spec.name);
	ctx = cm_context_new(&spec, cm_chunk_drain_work, why);
	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	ret = driver_add_node(ctx, parent, why);
	if (ret) {
		cm_context_retire(ctx);
		put_device(&ctx->dev);
		return ret;
	}
	pr_info("cm: %s context \"%s\": %lu KiB in bank %s\n",
		ctx->pool.private ? "private" : "shared", spec.name,
		ctx->pool.bank.count << (PAGE_SHIFT - 10), ctx->pool.bank.name);
	return 0;
}

/**
 * cm_driver_create() - make a context at run time
 * @spec: what it is to be; the reference on the bank remains the caller's
 * @why:  the reason when it is refused
 *
 * Sleeps while others are made or removed, and while the pages of a private
 * context are migrated.
 *
 * Return: 0; EINVAL for what cannot be, EEXIST, EBUSY, ENOSPC, ENOMEM, EINTR
 * when a fatal signal is pending.
 */
int cm_driver_create(struct cm_spec spec, struct cm_refusal *why)
{
	int ret = mutex_lock_killable(&driver_lock);

	if (ret)
		return ret;
	ret = driver_make(NULL, spec, why);
	mutex_unlock(&driver_lock);
	return ret;
}

static int driver_destroy(struct cm_context *ctx)
{
	/* Chunks that nobody holds any more are no reason to refuse. */
	flush_delayed_work(&ctx->drain_work);
	if (cm_context_retire(ctx))
		return -EBUSY;
	driver_remove_node(ctx);
	put_device(&ctx->dev);
	return 0;
}

/**
 * cm_driver_destroy() - remove a context, wherever it came from
 * @name: its name
 *
 * Sleeps while others are made or removed.
 *
 * Return: 0; ENOENT when there is none, EBUSY while it has chunks or memory of
 * one is on its way back, EINTR when a fatal signal is pending.
 */
int cm_driver_destroy(const char *name)
{
	struct cm_context *ctx;
	int ret = mutex_lock_killable(&driver_lock);

	if (ret)
		return ret;
	ctx = cm_context_find(name);
	if (ctx) {
		ret = driver_destroy(ctx);
		put_device(&ctx->dev);
	} else {
		ret = -ENOENT;
	}
	mutex_unlock(&driver_lock);
	return ret;
}

static bool driver_is_child(struct cm_context *ctx, const void *parent)
{
	return !parent || ctx->dev.parent == parent;
}

/*
 * All contexts of a device, or of nobody. Chunks, drains and open nodes hold
 * the module, so there are none when it is unloaded. When an overlay is taken
 * out of the device tree there may be: then the context lives on without a node
 * until they are gone.
 */
static void driver_remove_all(const struct device *parent)
{
	struct cm_context *ctx;

	mutex_lock(&driver_lock);
	while ((ctx = cm_context_any(driver_is_child, parent))) {
		driver_remove_node(ctx);
		put_device(&ctx->dev);
		put_device(&ctx->dev);
	}
	mutex_unlock(&driver_lock);
}

static void driver_unbind(void *dev)
{
	driver_remove_all(dev);
}

/* A label that is too long is refused as what it is cut to. */
static int driver_read_spec(struct device *dev, struct cm_spec *spec,
			    struct cm_refusal *why)
{
	struct device_node *np = dev->of_node;
	const char *label;
	u32 align = PAGE_SIZE;
	int length;

	*spec = (struct cm_spec){ 0 };
	if (!of_property_read_string(np, "label", &label))
		length = snprintf(spec->name, sizeof(spec->name), "%s", label);
	else
		length = snprintf(spec->name, sizeof(spec->name), "%pOFn", np);
	if (length >= sizeof(spec->name))
		return cm_refuse(why, -EINVAL,
				 "label \"%s...\": must be 1 to %d of a-z, 0-9, - and _, and not \"control\"",
				 spec->name, CM_NAME_LEN - 1);
	of_property_read_u32(np, "cm,min-alignment", &align);
	spec->min_align = align;
	spec->private = of_property_read_bool(np, "cm,private");
	spec->bank = of_parse_phandle(np, "memory-region", 0);
	if (!spec->bank)
		return cm_refuse(why, -EINVAL,
				 "memory-region is missing or points nowhere");
	return 0;
}

static int driver_probe(struct platform_device *pdev)
{
	struct cm_refusal why = { "" };
	struct cm_spec spec;
	int ret;

	ret = driver_read_spec(&pdev->dev, &spec, &why);
	if (!ret) {
		mutex_lock(&driver_lock);
		ret = driver_make(&pdev->dev, spec, &why);
		mutex_unlock(&driver_lock);
		of_node_put(spec.bank);
	}
	if (ret)
		return dev_err_probe(&pdev->dev, ret, "%s\n", why.text);
	return devm_add_action_or_reset(&pdev->dev, driver_unbind, &pdev->dev);
}

static const struct of_device_id driver_of_match[] = {
	{ .compatible = "cm-agent,context" },
	{ }
};
MODULE_DEVICE_TABLE(of, driver_of_match);

static struct platform_driver driver_platform = {
	.probe = driver_probe,
	.driver = {
		.name = "cm-context",
		.of_match_table = driver_of_match,
		.suppress_bind_attrs = true,
	},
};

/**
 * cm_driver_init() - register the class, and a context for each node of the
 *                    device tree
 *
 * Return: 0 or an error.
 */
int cm_driver_init(void)
{
	int ret;

	ret = alloc_chrdev_region(&driver_devt, 0, DRIVER_MAX_CONTEXTS, "cm");
	if (ret)
		return ret;
	ret = class_register(&driver_class);
	if (ret)
		goto unregister_region;
	ret = platform_driver_register(&driver_platform);
	if (ret)
		goto unregister_class;
	return 0;

unregister_class:
	class_unregister(&driver_class);
unregister_region:
	unregister_chrdev_region(driver_devt, DRIVER_MAX_CONTEXTS);
	return ret;
}

/**
 * cm_driver_exit() - undo cm_driver_init()
 */
void cm_driver_exit(void)
{
	platform_driver_unregister(&driver_platform);
	/* Those of nobody: the control node is gone, so none are made. */
	driver_remove_all(NULL);
	class_unregister(&driver_class);
	unregister_chrdev_region(driver_devt, DRIVER_MAX_CONTEXTS);
	ida_destroy(&driver_minors);
}
