// SPDX-License-Identifier: GPL-2.0
/*
 * Wish: what a context is to be, whoever asks for it.
 */
#include <linux/ctype.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/of.h>
#include <linux/platform_device.h>
#include <linux/string.h>

#include "context.h"
#include "wish.h"

/*
 * One context is made at run time, or removed, at a time: one that can be found
 * may be one that the driver core is not done with yet. The outermost of all
 * locks.
 */
static DEFINE_MUTEX(turnover);

static int check_name(struct device *dev, const char *name)
{
	size_t i, length = strlen(name);

	for (i = 0; i < length; i++)
		if (!islower(name[i]) && !isdigit(name[i]) &&
		    name[i] != '-' && name[i] != '_')
			break;
	if (!length || i < length || length >= CM_NAME_LEN ||
	    !strcmp(name, "control"))
		return dev_err_probe(dev, -EINVAL,
			"label \"%s\": must be 1 to %d of a-z, 0-9, - and _, and not \"control\"\n",
			name, CM_NAME_LEN - 1);
	return 0;
}

static int read_name(struct cm_wish *wish, struct device *dev)
{
	char name[CM_NAME_LEN + 1];
	const char *label;
	int ret;

	if (of_property_read_string(dev->of_node, "label", &label)) {
		snprintf(name, sizeof(name), "%pOFn", dev->of_node);
		label = name;
	}
	ret = check_name(dev, label);
	if (!ret)
		strscpy(wish->name, label, sizeof(wish->name));
	return ret;
}

/**
 * cm_wish_read() - read what a node of the device tree asks for
 * @wish: filled in; its bank is the caller's to put
 * @dev:  the device of the node
 *
 * Return: 0 or an error, whose reason is in the kernel log.
 */
int cm_wish_read(struct cm_wish *wish, struct device *dev)
{
	u32 align = PAGE_SIZE;
	int ret;

	*wish = (struct cm_wish){ 0 };
	ret = read_name(wish, dev);
	if (ret)
		return ret;
	of_property_read_u32(dev->of_node, "cm,min-alignment", &align);
	wish->min_align = align;
	wish->private = of_property_read_bool(dev->of_node, "cm,private");
	wish->bank = of_parse_phandle(dev->of_node, "memory-region", 0);
	if (!wish->bank)
		return dev_err_probe(dev, -EINVAL,
			"memory-region is missing or points nowhere\n");
	return 0;
}

/**
 * cm_wish_check() - see whether a wish makes sense, as far as it tells itself
 * @wish: the wish
 * @dev:  whose name the kernel log tells
 *
 * Return: 0 or EINVAL, whose reason is in the kernel log.
 */
int cm_wish_check(const struct cm_wish *wish, struct device *dev)
{
	int ret = check_name(dev, wish->name);

	if (ret)
		return ret;
	/* Not is_power_of_2(), which takes an unsigned long. */
	if (wish->min_align < PAGE_SIZE ||
	    wish->min_align & (wish->min_align - 1))
		return dev_err_probe(dev, -EINVAL,
			"minimum alignment (cm,min-alignment) is %llu: must be a power of two of at least %lu\n",
			wish->min_align, PAGE_SIZE);
	return 0;
}

static int grant(struct cm_wish *wish)
{
	struct platform_device *pdev;
	int ret;

	/*
	 * Until the probe says otherwise: when the driver core has no memory to
	 * call it, or for the device's name, it keeps that to itself, or says
	 * EINVAL.
	 */
	wish->result = -ENOMEM;
	pdev = platform_device_register_full(&(struct platform_device_info){
		.name = CM_CONTEXT_DEVICE,
		.id = PLATFORM_DEVID_AUTO,
		.data = &wish,
		.size_data = sizeof(wish),
		.dma_mask = DMA_BIT_MASK(64),
	});
	if (IS_ERR(pdev))
		return -ENOMEM;
	ret = wish->result;
	if (ret)
		platform_device_unregister(pdev);
	return ret;
}

/**
 * cm_wish_grant() - make a context at run time
 * @wish: what is asked for
 *
 * Sleeps while others are made or removed, and while the pages of a private
 * context are migrated.
 *
 * Return: 0 or an error, whose reason is in the kernel log unless it is EINTR.
 */
int cm_wish_grant(struct cm_wish *wish)
{
	int ret = mutex_lock_killable(&turnover);

	if (ret)
		return ret;
	ret = grant(wish);
	mutex_unlock(&turnover);
	return ret;
}

/**
 * cm_wish_revoke() - remove a context, whoever asked for it
 * @name: its name
 *
 * Sleeps while others are made or removed.
 *
 * Return: as cm_context_destroy(), or EINTR when a fatal signal is pending.
 */
int cm_wish_revoke(const char *name)
{
	int ret = mutex_lock_killable(&turnover);

	if (ret)
		return ret;
	ret = cm_context_destroy(name);
	mutex_unlock(&turnover);
	return ret;
}
