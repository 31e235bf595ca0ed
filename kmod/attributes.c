// SPDX-License-Identifier: GPL-2.0
/*
 * Attributes: single values in /sys/class/cm/<context>/, which sysfs-class-cm
 * documents.
 */
#include <linux/device.h>
#include <linux/mm.h>
#include <linux/sysfs.h>

#include "attributes.h"
#include "context.h"

static struct cm_context *attributes_context(struct device *dev)
{
	return container_of(dev, struct cm_context, dev);
}

/* A member of what CM_IOC_QUERY tells. */
#define QUERY_ATTRIBUTE(name)						\
static ssize_t name##_show(struct device *dev,				\
			   struct device_attribute *attr, char *buf)	\
{									\
	struct cm_query query = { 0 };					\
									\
	cm_context_query(attributes_context(dev), &query);			\
	return sysfs_emit(buf, "%llu\n", query.name);			\
}									\
static DEVICE_ATTR_RO(name)

/* A counter that CM_IOC_STATS has, too. */
#define STATS_ATTRIBUTE(name)						\
static ssize_t name##_show(struct device *dev,				\
			   struct device_attribute *attr, char *buf)	\
{									\
	struct cm_context *ctx = attributes_context(dev);			\
	u64 value;							\
									\
	cm_context_lock(ctx);						\
	value = ctx->stats.name;					\
	cm_context_unlock(ctx);					\
	return sysfs_emit(buf, "%llu\n", value);			\
}									\
static DEVICE_ATTR_RO(name)

QUERY_ATTRIBUTE(size);
QUERY_ATTRIBUTE(free);
QUERY_ATTRIBUTE(largest_hole);
QUERY_ATTRIBUTE(pinned);
QUERY_ATTRIBUTE(draining);
QUERY_ATTRIBUTE(min_alignment);
QUERY_ATTRIBUTE(chunks);
STATS_ATTRIBUTE(attempts);
STATS_ATTRIBUTE(successes);
STATS_ATTRIBUTE(frees);
STATS_ATTRIBUTE(retries);
STATS_ATTRIBUTE(moves);
STATS_ATTRIBUTE(moved_bytes);

/* A current value that CM_IOC_STATS has, too. */
#define USAGE_ATTRIBUTE(name)						\
static ssize_t name##_show(struct device *dev,				\
			   struct device_attribute *attr, char *buf)	\
{									\
	struct cm_context *ctx = attributes_context(dev);			\
	u64 held, lent;							\
									\
	cm_context_lock(ctx);						\
	cm_pool_usage(&ctx->pool, &held, &lent);			\
	cm_context_unlock(ctx);					\
	return sysfs_emit(buf, "%llu\n", name);				\
}									\
static DEVICE_ATTR_RO(name)

USAGE_ATTRIBUTE(held);
USAGE_ATTRIBUTE(lent);

static ssize_t kind_show(struct device *dev, struct device_attribute *attr,
			 char *buf)
{
	return sysfs_emit(buf, "%s\n",
			  attributes_context(dev)->pool.private ? "private" : "shared");
}
static DEVICE_ATTR_RO(kind);

static ssize_t bank_show(struct device *dev, struct device_attribute *attr,
			 char *buf)
{
	return sysfs_emit(buf, "%s\n", attributes_context(dev)->pool.bank.name);
}
static DEVICE_ATTR_RO(bank);

static ssize_t offset_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	const struct cm_bank *bank = &attributes_context(dev)->pool.bank;

	return sysfs_emit(buf, "%llu\n", (u64)(bank->start - bank->base) << PAGE_SHIFT);
}
static DEVICE_ATTR_ADMIN_RO(offset);

static struct attribute *cm_attributes[] = {
	&dev_attr_kind.attr,
	&dev_attr_bank.attr,
	&dev_attr_offset.attr,
	&dev_attr_size.attr,
	&dev_attr_free.attr,
	&dev_attr_largest_hole.attr,
	&dev_attr_pinned.attr,
	&dev_attr_draining.attr,
	&dev_attr_min_alignment.attr,
	&dev_attr_chunks.attr,
	&dev_attr_held.attr,
	&dev_attr_lent.attr,
	&dev_attr_attempts.attr,
	&dev_attr_successes.attr,
	&dev_attr_frees.attr,
	&dev_attr_retries.attr,
	&dev_attr_moves.attr,
	&dev_attr_moved_bytes.attr,
	NULL
};

static const struct attribute_group cm_attribute_group = {
	.attrs = cm_attributes,
};

const struct attribute_group *cm_attribute_groups[] = {
	&cm_attribute_group,
	NULL
};
