// SPDX-License-Identifier: GPL-2.0
/*
 * Context: from the device tree to a node under /dev/cm.
 */
#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/platform_device.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "attributes.h"
#include "chardev.h"
#include "compat.h"
#include "context.h"
#include "drain.h"
#include "obstacle.h"
#include "quota.h"
#include "wish.h"

#define MAX_CONTEXTS	64
/*
 * Pages in flight (of a process that ends, of a fault) are busy until whoever
 * has them gets to run; who stays longer is stuck.
 */
#define PRIVATE_TRIES	50
#define PRIVATE_WAIT	msecs_to_jiffies(100)

static dev_t cm_devt;
static DEFINE_IDA(minors);
static LIST_HEAD(contexts);
static DEFINE_MUTEX(contexts_lock);

static char *cm_devnode(CM_DEVNODE_DEVICE *dev, umode_t *mode)
{
	return kasprintf(GFP_KERNEL, "cm/%s", dev_name(dev));
}

static struct class cm_class = {
	.name = "cm",
	.dev_groups = cm_attribute_groups,
	.devnode = cm_devnode,
};

/**
 * cm_context_room() - tell how much is free
 * @ctx:          the context, locked
 * @free:         set to the bytes that no chunk has
 * @largest_hole: set to the bytes of the largest hole
 */
void cm_context_room(struct cm_context *ctx, u64 *free, u64 *largest_hole)
{
	lockdep_assert_held(&ctx->lock);
	*free = (u64)cm_placement_free(&ctx->map) << PAGE_SHIFT;
	*largest_hole = (u64)cm_placement_largest_hole(&ctx->map) << PAGE_SHIFT;
}

/**
 * cm_context_query() - describe a context
 * @ctx:   the context
 * @query: filled in
 */
void cm_context_query(struct cm_context *ctx, struct cm_query *query)
{
	mutex_lock(&ctx->lock);
	query->size = (u64)ctx->map.count << PAGE_SHIFT;
	cm_context_room(ctx, &query->free, &query->largest_hole);
	query->pinned = (u64)ctx->pinned << PAGE_SHIFT;
	query->draining = (u64)ctx->draining << PAGE_SHIFT;
	query->chunks = ctx->chunks;
	mutex_unlock(&ctx->lock);

	query->min_alignment = (u64)ctx->min_align << PAGE_SHIFT;
	query->page_size = PAGE_SIZE;
	query->features = CM_FEATURE_COMPACT | CM_FEATURE_LAYOUT |
			  CM_FEATURE_QUOTA | CM_FEATURE_CONTROL;
	query->flags = ctx->private ? CM_CONTEXT_PRIVATE : 0;
	strscpy(query->name, dev_name(&ctx->dev), sizeof(query->name));
	strscpy(query->version, CM_MODULE_VERSION, sizeof(query->version));
}

/**
 * cm_context_holding() - find the context whose bank holds a range
 * @first: physical address of the first byte
 * @last:  physical address of the last byte
 * @name:  CM_NAME_LEN bytes, set to the context's name when there is one
 *
 * Return: whether there is one.
 */
bool cm_context_holding(u64 first, u64 last, char *name)
{
	struct cm_context *ctx;
	bool found = false;

	mutex_lock(&contexts_lock);
	list_for_each_entry(ctx, &contexts, node) {
		if (first >> PAGE_SHIFT < ctx->bank.start ||
		    last >> PAGE_SHIFT >= ctx->bank.start + ctx->bank.count)
			continue;
		strscpy(name, dev_name(&ctx->dev), CM_NAME_LEN);
		found = true;
		break;
	}
	mutex_unlock(&contexts_lock);
	return found;
}

static int take_private(struct device *dev, struct cm_context *ctx)
{
	struct cm_bank *bank = &ctx->bank;
	struct cm_obstacles obstacles = { 0 };
	int ret, tries = PRIVATE_TRIES;

	if (!bank->reusable)
		return 0;
	mutex_lock(&bank->migrating.mutex);
	for (;;) {
		ret = cm_bank_take(bank, bank->start, bank->count, U64_MAX,
				   &obstacles);
		if (ret != -EBUSY || !--tries)
			break;
		schedule_timeout_killable(PRIVATE_WAIT);
	}
	cm_turn_give(&bank->migrating);
	if (ret)
		return dev_err_probe(dev, ret,
			"bank %s: its pages are in use and would not leave; load the module earlier\n",
			bank->name);
	return 0;
}

static void give_private(struct cm_context *ctx)
{
	if (ctx->private && ctx->bank.reusable)
		cm_bank_give(&ctx->bank, ctx->bank.start, ctx->bank.count);
}

static int claim_memory(struct device *dev, struct cm_context *ctx,
			const struct cm_wish *wish)
{
	int ret;

	ret = cm_bank_claim(&ctx->bank, dev, wish);
	if (ret)
		return ret;
	ctx->private = wish->private;
	if (ctx->private)
		ret = take_private(dev, ctx);
	else if (!ctx->bank.reusable)
		ret = dev_err_probe(dev, -EINVAL,
				    "bank %s is not reusable: its memory is gone from the system anyway; add cm,private to the context, or reusable to the bank\n",
				    ctx->bank.name);
	if (ret)
		cm_bank_release(&ctx->bank);
	else
		cm_placement_init(&ctx->map, ctx->bank.start, ctx->bank.count);
	return ret;
}

static void release_memory(struct cm_context *ctx)
{
	give_private(ctx);
	cm_bank_release(&ctx->bank);
}

/* The context's own device, so that CPU access can be synced for it. */
static int prepare_dma(struct device *dev)
{
	if (cm_always_bounced(dev))
		return dev_err_probe(dev, -EINVAL,
			"swiotlb=force gives every device bounce buffers: drivers could never reach a chunk\n");
	dma_set_max_seg_size(dev, UINT_MAX);
	return dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
}

/* On a bus that does not reach the bank every sync would go through copies. */
static int check_reach(struct device *dev, const struct cm_bank *bank)
{
	phys_addr_t last = PFN_PHYS(bank->start + bank->count) - 1;

	if (!dev->bus_dma_limit || phys_to_dma(dev, last) <= dev->bus_dma_limit)
		return 0;
	return dev_err_probe(dev, -EINVAL,
		"bank %s ends at %pa, beyond the dma-ranges of this node's bus: move the node to the root of the device tree\n",
		bank->name, &last);
}

static bool name_taken(const char *name)
{
	struct cm_context *other;

	lockdep_assert_held(&contexts_lock);
	list_for_each_entry(other, &contexts, node)
		if (!strcmp(dev_name(&other->dev), name))
			return true;
	return false;
}

static int add_node(struct device *dev, struct cm_context *ctx)
{
	const char *name = dev_name(&ctx->dev);
	int ret;

	cdev_init(&ctx->cdev, &cm_chardev_fops);
	ctx->cdev.owner = THIS_MODULE;

	mutex_lock(&contexts_lock);
	if (name_taken(name))
		ret = dev_err_probe(dev, -EEXIST,
				    "another context is called \"%s\"\n", name);
	else
		ret = cdev_device_add(&ctx->cdev, &ctx->dev);
	if (!ret)
		list_add_tail(&ctx->node, &contexts);
	mutex_unlock(&contexts_lock);
	return ret;
}

static void remove_node(struct cm_context *ctx)
{
	mutex_lock(&contexts_lock);
	list_del(&ctx->node);
	mutex_unlock(&contexts_lock);
	cdev_device_del(&ctx->cdev, &ctx->dev);
}

/* The last reference is gone: there are no chunks, drains or open nodes. */
static void free_context(struct device *dev)
{
	struct cm_context *ctx = container_of(dev, struct cm_context, dev);

	if (ctx->map.count)
		release_memory(ctx);
	cm_quota_drop(ctx);
	put_device(ctx->dma_dev);
	ida_free(&minors, MINOR(dev->devt));
	kfree(ctx);
}

static struct cm_context *new_context(struct device *dev)
{
	struct cm_context *ctx;
	int minor;

	ctx = kzalloc(sizeof(*ctx), GFP_KERNEL);
	if (!ctx)
		return ERR_PTR(-ENOMEM);
	minor = ida_alloc_max(&minors, MAX_CONTEXTS - 1, GFP_KERNEL);
	if (minor < 0) {
		kfree(ctx);
		return ERR_PTR(minor);
	}
	device_initialize(&ctx->dev);
	ctx->dev.class = &cm_class;
	ctx->dev.parent = dev;
	ctx->dev.release = free_context;
	ctx->dev.devt = MKDEV(MAJOR(cm_devt), minor);
	ctx->dma_dev = get_device(dev);
	mutex_init(&ctx->lock);
	cm_turn_init(&ctx->compacting);
	INIT_LIST_HEAD(&ctx->quotas);
	INIT_LIST_HEAD(&ctx->drains);
	INIT_DELAYED_WORK(&ctx->drain_work, cm_drain_work);
	return ctx;
}

/*
 * When the module is unloaded nobody uses the context any more: chunks, drains
 * and open nodes hold the module. When an overlay is taken out of the device
 * tree somebody may: then the context lives on without a node until they let go.
 */
static void remove_context(void *data)
{
	struct cm_context *ctx = data;

	WRITE_ONCE(ctx->gone, true);
	remove_node(ctx);
	put_device(&ctx->dev);
}

static int make_context(struct device *dev, const struct cm_wish *wish)
{
	struct cm_context *ctx;
	int ret;

	ctx = new_context(dev);
	if (IS_ERR(ctx))
		return dev_err_probe(dev, PTR_ERR(ctx),
				     "no memory, or all %d contexts are taken\n",
				     MAX_CONTEXTS);
	ctx->min_align = wish->min_align >> PAGE_SHIFT;
	ret = dev_set_name(&ctx->dev, "%s", wish->name);
	if (!ret)
		ret = prepare_dma(dev);
	if (!ret)
		ret = claim_memory(dev, ctx, wish);
	if (!ret)
		ret = check_reach(dev, &ctx->bank);
	if (!ret)
		ret = add_node(dev, ctx);
	if (ret) {
		put_device(&ctx->dev);
		return ret;
	}
	dev_info(dev, "%s context \"%s\": %lu KiB in bank %s\n",
		 ctx->private ? "private" : "shared", dev_name(&ctx->dev),
		 ctx->bank.count << (PAGE_SHIFT - 10), ctx->bank.name);
	return devm_add_action_or_reset(dev, remove_context, ctx);
}

static int cm_context_probe(struct platform_device *pdev)
{
	struct cm_wish **asked = dev_get_platdata(&pdev->dev);
	struct cm_wish read, *wish = asked ? *asked : &read;
	int ret = 0;

	if (!asked)
		ret = cm_wish_read(&read, &pdev->dev);
	if (!ret)
		ret = cm_wish_check(wish, &pdev->dev);
	if (!ret)
		ret = make_context(&pdev->dev, wish);
	if (!asked)
		of_node_put(read.bank);
	wish->result = ret;
	return ret;
}

static struct cm_context *find_context(const char *name)
{
	struct cm_context *ctx, *found = NULL;

	mutex_lock(&contexts_lock);
	list_for_each_entry(ctx, &contexts, node)
		if (!strcmp(dev_name(&ctx->dev), name))
			found = ctx;
	if (found)
		get_device(&found->dev);
	mutex_unlock(&contexts_lock);
	return found;
}

/* Empty it for good: who still has its node open finds no place any more. */
static int retire(struct cm_context *ctx)
{
	bool empty;

	mutex_lock(&ctx->lock);
	empty = !ctx->map.used;
	if (empty) {
		WRITE_ONCE(ctx->gone, true);
		ctx->map.count = 0;
	}
	mutex_unlock(&ctx->lock);
	return empty ? 0 : -EBUSY;
}

/**
 * cm_context_destroy() - remove a context
 * @name: its name
 *
 * For cm_wish_revoke() only, which has one removed at a time.
 *
 * Return: 0, ENOENT when there is none, EBUSY while it has chunks or memory of one
 * is on its way back.
 */
int cm_context_destroy(const char *name)
{
	struct cm_context *ctx = find_context(name);
	struct device *dev;
	int ret;

	if (!ctx)
		return -ENOENT;
	dev = ctx->dma_dev;
	/* What is on its way back is no chunk. */
	flush_delayed_work(&ctx->drain_work);
	ret = retire(ctx);
	if (!ret) {
		release_memory(ctx);
		if (dev->of_node)
			device_release_driver(dev);
		else
			platform_device_unregister(to_platform_device(dev));
	}
	put_device(&ctx->dev);
	return ret;
}

/**
 * cm_context_set_quota() - say how much of a context a user may have
 * @name:  its name
 * @uid:   the user, or INVALID_UID
 * @bytes: as much as that
 *
 * Return: 0, ENOENT when there is no such context, ENOMEM.
 */
int cm_context_set_quota(const char *name, kuid_t uid, u64 bytes)
{
	struct cm_context *ctx = find_context(name);
	int ret;

	if (!ctx)
		return -ENOENT;
	ret = cm_quota_set(ctx, uid, bytes);
	put_device(&ctx->dev);
	return ret;
}

/* Those that were made at run time have no node of the device tree. */
static struct platform_device *next_made(void)
{
	struct cm_context *ctx;
	struct platform_device *pdev = NULL;

	mutex_lock(&contexts_lock);
	list_for_each_entry(ctx, &contexts, node)
		if (!ctx->dma_dev->of_node)
			pdev = to_platform_device(ctx->dma_dev);
	mutex_unlock(&contexts_lock);
	return pdev;
}

static const struct of_device_id cm_context_of_match[] = {
	{ .compatible = "cm-agent,context" },
	{ }
};
MODULE_DEVICE_TABLE(of, cm_context_of_match);

static struct platform_driver cm_context_driver = {
	.probe = cm_context_probe,
	.driver = {
		.name = CM_CONTEXT_DEVICE,
		.of_match_table = cm_context_of_match,
		.suppress_bind_attrs = true,
		/* cm_wish_grant() waits for the result. */
		.probe_type = PROBE_FORCE_SYNCHRONOUS,
	},
};

/**
 * cm_context_init() - register the class, and a context for each node of the
 *                     device tree
 *
 * Return: 0 or an error.
 */
int cm_context_init(void)
{
	int ret;

	ret = alloc_chrdev_region(&cm_devt, 0, MAX_CONTEXTS, "cm");
	if (ret)
		return ret;
	ret = class_register(&cm_class);
	if (ret)
		goto unregister_region;
	ret = cm_drain_init();
	if (ret)
		goto unregister_class;
	ret = platform_driver_register(&cm_context_driver);
	if (ret)
		goto exit_drain;
	return 0;

exit_drain:
	cm_drain_exit();
unregister_class:
	class_unregister(&cm_class);
unregister_region:
	unregister_chrdev_region(cm_devt, MAX_CONTEXTS);
	return ret;
}

/**
 * cm_context_exit() - undo cm_context_init()
 */
void cm_context_exit(void)
{
	struct platform_device *made;

	/* Nobody makes any more: the control node is gone. */
	while ((made = next_made()))
		platform_device_unregister(made);
	platform_driver_unregister(&cm_context_driver);
	cm_drain_exit();
	class_unregister(&cm_class);
	unregister_chrdev_region(cm_devt, MAX_CONTEXTS);
	ida_destroy(&minors);
}
