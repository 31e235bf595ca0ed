// SPDX-License-Identifier: GPL-2.0
/*
 * Bank: finding it in the device tree, and taking and giving its pages.
 */
#include <linux/device.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/of.h>
#include <linux/of_reserved_mem.h>
#include <linux/pfn.h>
#include <linux/string.h>

#include "bank.h"
#include "compat.h"
#include "obstacle.h"
#include "trace.h"
#include "wish.h"

static LIST_HEAD(banks);
static DEFINE_MUTEX(banks_lock);

/* Length of a DMA segment is an unsigned int: see cm_dmabuf_map(). */
#define BANK_MAX_BYTES	SZ_2G

static int check_reservation(struct device *dev, struct device_node *np,
			     struct reserved_mem *rmem)
{
	if (of_property_read_bool(np, "no-map"))
		return dev_err_probe(dev, -EINVAL,
			"bank %pOFn is no-map: it has no struct pages, so it can neither be mapped page by page nor verified; remove no-map from the bank\n",
			np);
	if (of_property_read_bool(np, "linux,cma-default"))
		return dev_err_probe(dev, -EINVAL,
			"bank %pOFn is linux,cma-default: the kernel allocates from it behind the back of this module; give the context a bank of its own\n",
			np);
	if (rmem->size > BANK_MAX_BYTES)
		return dev_err_probe(dev, -EINVAL,
			"bank %pOFn has %pa bytes: at most 2 GiB are supported\n",
			np, &rmem->size);
	if (!PAGE_ALIGNED(rmem->base) || !PAGE_ALIGNED(rmem->size))
		return dev_err_probe(dev, -EINVAL,
			"bank %pOFn: base %pa and size %pa must be multiples of %lu\n",
			np, &rmem->base, &rmem->size, PAGE_SIZE);
	return 0;
}

/*
 * What the kernel could not set up as asked it gives back to the system and
 * still lists: only a bank that became a CMA area has data of its own. And look
 * at every page: those of a plain bank are reserved, those of a reusable one
 * are not, and whole pageblocks of one zone.
 */
static bool is_set_up(const struct cm_bank *bank,
		      const struct reserved_mem *rmem)
{
	unsigned long pfn, end = bank->start + bank->count;
	struct zone *zone = NULL;

	if (bank->reusable &&
	    (!rmem->priv || !IS_ALIGNED(bank->start, CM_BANK_ALIGN) ||
	     !IS_ALIGNED(end, CM_BANK_ALIGN)))
		return false;
	for (pfn = bank->start; pfn < end; pfn++) {
		if (IS_ALIGNED(pfn, pageblock_nr_pages))
			cond_resched();
		/* Holes in the RAM have struct pages, too, and no mapping. */
		if (!pfn_valid(pfn) || !page_is_ram(pfn))
			return false;
		zone = zone ?: page_zone(pfn_to_page(pfn));
		if (PageReserved(pfn_to_page(pfn)) == bank->reusable ||
		    page_zone(pfn_to_page(pfn)) != zone)
			return false;
	}
	return true;
}

static int check_pages(struct device *dev, struct device_node *np,
		       const struct cm_bank *bank,
		       const struct reserved_mem *rmem)
{
	if (is_set_up(bank, rmem))
		return 0;
	if (bank->reusable)
		return dev_err_probe(dev, -EINVAL,
			"bank %pOFn is reusable, but the kernel did not make it movable memory: base and size must be multiples of %lu bytes, compatible must be \"shared-dma-pool\"\n",
			np, PAGE_SIZE * CM_BANK_ALIGN);
	return dev_err_probe(dev, -EINVAL,
		"bank %pOFn is not reserved memory of this board: is it all RAM, and did the kernel accept it at boot (see \"Reserved memory\" in the kernel log)?\n",
		np);
}

static struct cm_bank *find_overlap(const struct cm_bank *bank)
{
	struct cm_bank *other;

	lockdep_assert_held(&banks_lock);
	list_for_each_entry(other, &banks, node)
		if (bank->start < other->start + other->count &&
		    other->start < bank->start + bank->count)
			return other;
	return NULL;
}

/* @base: first page frame number of the whole bank */
static int add_bank(struct device *dev, struct cm_bank *bank,
		    unsigned long base)
{
	struct cm_bank *other;
	int ret = 0;

	mutex_lock(&banks_lock);
	other = find_overlap(bank);
	if (other)
		ret = dev_err_probe(dev, -EBUSY,
				    "bank %s: %llu bytes from %lld on already belong to another context\n",
				    bank->name, (u64)other->count << PAGE_SHIFT,
				    ((s64)other->start - (s64)base) * (s64)PAGE_SIZE);
	else
		list_add(&bank->node, &banks);
	mutex_unlock(&banks_lock);
	return ret;
}

/*
 * Two contexts in one bank must not make each other fail: see
 * &cm_bank.migrating, which each of them has for itself.
 */
static int take_part(struct device *dev, struct cm_bank *bank,
		     const struct cm_wish *wish)
{
	u64 whole = (u64)bank->count << PAGE_SHIFT;
	u64 align = (bank->reusable ? CM_BANK_ALIGN : 1) * (u64)PAGE_SIZE;
	u64 size = wish->size ?: whole - min(wish->offset, whole);

	if (wish->offset >= whole || size > whole - wish->offset)
		return dev_err_probe(dev, -EINVAL,
			"%llu bytes from %llu on end beyond bank %s, which has %llu\n",
			size, wish->offset, bank->name, whole);
	if ((wish->offset | size) & (align - 1))
		return dev_err_probe(dev, -EINVAL,
			"offset %llu and size %llu must be multiples of %llu: that is what parts of bank %s are made of\n",
			wish->offset, size, align, bank->name);
	if (wish->min_align > size)
		return dev_err_probe(dev, -EINVAL,
			"minimum alignment %llu is larger than the %llu bytes of the context\n",
			wish->min_align, size);
	bank->start += wish->offset >> PAGE_SHIFT;
	bank->count = size >> PAGE_SHIFT;
	return 0;
}

/**
 * cm_bank_find() - find a bank by its name
 * @name: of its node below /reserved-memory, with its unit address
 *
 * Return: the node, with a reference for the caller, or NULL.
 */
struct device_node *cm_bank_find(const char *name)
{
	struct device_node *memory = of_find_node_by_path("/reserved-memory");
	struct device_node *child, *found = NULL;

	for_each_available_child_of_node(memory, child)
		if (!found && !strcmp(kbasename(child->full_name), name))
			found = of_node_get(child);
	of_node_put(memory);
	return found;
}

/**
 * cm_bank_claim() - find a bank and take possession of it, or of a part
 * @bank: filled in
 * @dev:  whose name the kernel log tells
 * @wish: which bank, and which part of it
 *
 * Return: 0 or an error, whose reason is in the kernel log: EINVAL for a bank
 * that cannot be used, EBUSY for one in use.
 */
int cm_bank_claim(struct cm_bank *bank, struct device *dev,
		  const struct cm_wish *wish)
{
	struct device_node *np = wish->bank;
	struct reserved_mem *rmem;
	int ret;

	rmem = of_reserved_mem_lookup(np);
	if (!rmem)
		return dev_err_probe(dev, -EINVAL,
				     "bank %pOFn was not reserved at boot: see \"Reserved memory\" in the kernel log; an overlay must be applied by the boot loader\n",
				     np);
	ret = check_reservation(dev, np, rmem);
	if (ret)
		return ret;

	bank->name = rmem->name;
	bank->start = PHYS_PFN(rmem->base);
	bank->count = PHYS_PFN(rmem->size);
	bank->reusable = of_property_read_bool(np, "reusable");
	cm_turn_init(&bank->migrating);

	ret = check_pages(dev, np, bank, rmem);
	if (!ret)
		ret = take_part(dev, bank, wish);
	if (!ret)
		ret = add_bank(dev, bank, PHYS_PFN(rmem->base));
	return ret;
}

/**
 * cm_bank_release() - let others claim a bank
 * @bank: a claimed bank, none of whose pages are taken
 */
void cm_bank_release(struct cm_bank *bank)
{
	mutex_lock(&banks_lock);
	list_del(&bank->node);
	mutex_unlock(&banks_lock);
}

static int take_batch(struct cm_bank *bank, unsigned long start,
		      unsigned long count)
{
	u64 begin = ktime_get_ns();
	int ret = cm_take_pages(start, count);

	trace_cm_migrate(bank, start, count, ktime_get_ns() - begin, ret);
	return ret;
}

/**
 * cm_bank_take_some() - make the system leave pages of a reusable bank
 * @bank:      the bank, whose turn the caller has
 * @start:     first page frame number
 * @count:     in: number of page frames; out: how many were taken, which the
 *             caller has to give back also when this fails
 * @deadline:  ktime_get_ns() at which to give up
 * @obstacles: where to remember a pageblock that failed
 *
 * Sleeps while pages are migrated, a pageblock at a time: the deadline is seen
 * in between. Each page has one reference then, the caller's.
 *
 * Return: 0, EBUSY when a page would not leave, ENOMEM when the system had
 * nowhere to move one to, EINTR when a fatal signal is pending, ETIMEDOUT.
 */
int cm_bank_take_some(struct cm_bank *bank, unsigned long start,
		      unsigned long *count, u64 deadline,
		      struct cm_obstacles *obstacles)
{
	unsigned long next = start, end = start + *count, batch;
	int ret = 0;

	lockdep_assert_held(&bank->migrating.mutex);
	while (!ret && next < end) {
		batch = min(end, ALIGN(next + 1, pageblock_nr_pages)) - next;
		if (next > start && ktime_get_ns() >= deadline)
			ret = -ETIMEDOUT;
		else
			ret = take_batch(bank, next, batch);
		if (!ret)
			next += batch;
		else if (ret == -EBUSY || ret == -ENOMEM)
			cm_obstacles_add(obstacles, next, ret);
	}
	*count = next - start;
	return ret;
}

/**
 * cm_bank_take() - cm_bank_take_some() of all or nothing
 * @bank:      the bank, whose turn the caller has
 * @start:     first page frame number
 * @count:     number of page frames
 * @deadline:  ktime_get_ns() at which to give up
 * @obstacles: where to remember a pageblock that failed
 *
 * Return: the same.
 */
int cm_bank_take(struct cm_bank *bank, unsigned long start, unsigned long count,
		 u64 deadline, struct cm_obstacles *obstacles)
{
	int ret = cm_bank_take_some(bank, start, &count, deadline, obstacles);

	if (ret && count)
		cm_bank_give(bank, start, count);
	return ret;
}

/**
 * cm_bank_give() - give pages back to the system
 * @bank:  the bank they were taken from by cm_bank_take()
 * @start: first page frame number
 * @count: number of page frames, none of which has a reference of others
 */
void cm_bank_give(struct cm_bank *bank, unsigned long start, unsigned long count)
{
	free_contig_range(start, count);
}
