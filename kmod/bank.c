// SPDX-License-Identifier: GPL-2.0
/*
 * Bank: finding it in the device tree, and taking and giving its pages.
 */
#include <linux/bitmap.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/of.h>
#include <linux/of_reserved_mem.h>
#include <linux/pfn.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "bank.h"
#include "compat.h"
#include "spec.h"

static LIST_HEAD(bank_list);
static DEFINE_MUTEX(bank_list_lock);

/* Length of a DMA segment is an unsigned int: see importer.c. */
#define BANK_MAX_BYTES	SZ_2G

/*
 * A page that does not leave makes a whole granule useless, so smaller ones
 * lose less. Each one taken costs about the same: large chunks take 2.7 times as
 * long in granules of 512 KiB, and small ones as long as in these (see
 * tests/bench/README.md). Nor smaller than a huge page of 4 KiB pages:
 * alloc_contig_range() needs all of it, or fails.
 */
#define BANK_GRANULE_BYTES	SZ_2M

/*
 * alloc_contig_range() isolates whole units of CM_BANK_ALIGN page frames: two
 * calls for the same unit make each other fail. A context has one call at a
 * time, so that matters only where two contexts meet in one unit.
 */
static DEFINE_MUTEX(bank_shared_unit_lock);

static int bank_check_node(const struct device_node *np,
			   const struct reserved_mem *rmem,
			   struct cm_refusal *why)
{
	if (of_property_read_bool(np, "no-map"))
		return cm_refuse(why, -EINVAL,
				 "bank %pOFn is no-map: it has no struct pages, so it can neither be mapped page by page nor verified; remove no-map from the bank",
				 np);
	if (of_property_read_bool(np, "linux,cma-default"))
		return cm_refuse(why, -EINVAL,
				 "bank %pOFn is linux,cma-default: the kernel allocates from it behind the back of this module; give the context a bank of its own",
				 np);
	if (of_find_property(np, "compatible", NULL) &&
	    !of_device_is_compatible(np, "shared-dma-pool"))
		return cm_refuse(why, -EINVAL,
				 "bank %pOFn has another use: its compatible is not \"shared-dma-pool\"; give the context a bank of its own",
				 np);
	if (rmem->size > BANK_MAX_BYTES)
		return cm_refuse(why, -EINVAL,
				 "bank %pOFn has %pa bytes: at most 2 GiB are supported",
				 np, &rmem->size);
	if (!PAGE_ALIGNED(rmem->base) || !PAGE_ALIGNED(rmem->size))
		return cm_refuse(why, -EINVAL,
				 "bank %pOFn: base %pa and size %pa must be multiples of %lu",
				 np, &rmem->base, &rmem->size, PAGE_SIZE);
	return 0;
}

static bool bank_refers_to(const struct device_node *user,
			   const struct device_node *np)
{
	struct device_node *region;
	int i;

	for (i = 0; (region = of_parse_phandle(user, "memory-region", i)); i++) {
		of_node_put(region);
		if (region == np)
			return true;
	}
	return false;
}

/* A driver that allocates from the bank would meet our chunks there. */
static int bank_check_users(struct device_node *np, struct cm_refusal *why)
{
	struct device_node *user;
	int ret = 0;

	for_each_node_with_property(user, "memory-region") {
		if (of_device_is_compatible(user, "cm-agent,context") ||
		    !of_device_is_available(user) || !bank_refers_to(user, np))
			continue;
		ret = cm_refuse(why, -EBUSY,
				"bank %pOFn is the memory-region of %pOF; give the context a bank of its own",
				np, user);
		of_node_put(user);
		break;
	}
	return ret;
}

/*
 * What the kernel could not set up as asked it gives back to the system and
 * still lists: only a bank that became a CMA area has data of its own. And look
 * at every page: those of a plain bank are reserved, those of a reusable one
 * are not, and whole pageblocks of one zone.
 */
static bool bank_is_set_up(const struct cm_bank *bank,
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

static int bank_check_pages(const struct device_node *np,
			    const struct cm_bank *bank,
			    const struct reserved_mem *rmem,
			    struct cm_refusal *why)
{
	if (bank_is_set_up(bank, rmem))
		return 0;
	if (bank->reusable)
		return cm_refuse(why, -EINVAL,
				 "bank %pOFn is reusable, but the kernel did not make it movable memory: base and size must be multiples of %lu bytes, compatible must be \"shared-dma-pool\"",
				 np, PAGE_SIZE * CM_BANK_ALIGN);
	return cm_refuse(why, -EINVAL,
			 "bank %pOFn is not reserved memory of this board: is it all RAM, and did the kernel accept it at boot (see \"Reserved memory\" in the kernel log)?",
			 np);
}

/* Parts of a reusable bank are made of whole granules. */
static int bank_take_part(struct cm_bank *bank, const struct cm_spec *spec,
			  struct cm_refusal *why)
{
	u64 whole = (u64)bank->count << PAGE_SHIFT;
	u64 align = bank->reusable ? (u64)PAGE_SIZE << bank->order : PAGE_SIZE;
	u64 size = spec->size ?: whole - min(spec->offset, whole);

	if (spec->offset >= whole || size > whole - spec->offset)
		return cm_refuse(why, -EINVAL,
				 "%llu bytes from %llu on end beyond bank %s, which has %llu",
				 size, spec->offset, bank->name, whole);
	if ((spec->offset | size) & (align - 1))
		return cm_refuse(why, -EINVAL,
				 "offset %llu and size %llu must be multiples of %llu: that is what parts of bank %s are made of",
				 spec->offset, size, align, bank->name);
	if (spec->min_align > size)
		return cm_refuse(why, -EINVAL,
				 "minimum alignment %llu is larger than the %llu bytes of the context",
				 spec->min_align, size);
	bank->start += spec->offset >> PAGE_SHIFT;
	bank->count = size >> PAGE_SHIFT;
	return 0;
}

static int bank_make_granules(struct cm_bank *bank, struct cm_refusal *why)
{
	unsigned long i;

	bank->granule_count = ((bank->count - 1) >> bank->order) + 1;
	bank->granules = kvcalloc(bank->granule_count, sizeof(*bank->granules),
				  GFP_KERNEL);
	bank->written = kvcalloc(BITS_TO_LONGS(bank->count),
				 sizeof(*bank->written), GFP_KERNEL);
	if (!bank->granules || !bank->written)
		return cm_refuse(why, -ENOMEM, "no memory for the granules");
	for (i = 0; i < bank->granule_count; i++)
		bank->granules[i].taken = !bank->reusable;
	if (!bank->reusable)
		cm_bank_note_written(bank, bank->start, bank->count);
	return 0;
}

static void bank_free_granules(struct cm_bank *bank)
{
	kvfree(bank->granules);
	kvfree(bank->written);
	bank->granules = NULL;
	bank->written = NULL;
}

static struct cm_bank *bank_find_overlap(const struct cm_bank *bank)
{
	struct cm_bank *other;

	lockdep_assert_held(&bank_list_lock);
	list_for_each_entry(other, &bank_list, node)
		if (bank->start < other->start + other->count &&
		    other->start < bank->start + bank->count)
			return other;
	return NULL;
}

static int bank_add(struct cm_bank *bank, struct cm_refusal *why)
{
	struct cm_bank *other;
	int ret = 0;

	mutex_lock(&bank_list_lock);
	other = bank_find_overlap(bank);
	if (other)
		ret = cm_refuse(why, -EBUSY,
				"bank %s: %llu bytes from %lld on already belong to another context",
				bank->name, (u64)other->count << PAGE_SHIFT,
				((s64)other->start - (s64)bank->base) * (s64)PAGE_SIZE);
	else
		list_add(&bank->node, &bank_list);
	mutex_unlock(&bank_list_lock);
	return ret;
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
 * cm_bank_claim() - take possession of a bank, or of a part
 * @bank: filled in; granules of a reusable bank are still the system's
 * @spec: which bank, and which part of it
 * @why:  the reason when it is refused
 *
 * Return: 0; EINVAL for a bank that cannot be used, EBUSY for one in use,
 * ENOMEM.
 */
int cm_bank_claim(struct cm_bank *bank, const struct cm_spec *spec,
		  struct cm_refusal *why)
{
	struct device_node *np = spec->bank;
	struct reserved_mem *rmem;
	int ret;

	rmem = of_reserved_mem_lookup(np);
	if (!rmem)
		return cm_refuse(why, -EINVAL,
				 "bank %pOFn was not reserved at boot: see \"Reserved memory\" in the kernel log; an overlay must be applied by the boot loader",
				 np);
	ret = bank_check_node(np, rmem, why);
	if (ret)
		return ret;

	*bank = (struct cm_bank){
		.name = rmem->name,
		.base = PHYS_PFN(rmem->base),
		.start = PHYS_PFN(rmem->base),
		.count = PHYS_PFN(rmem->size),
		.reusable = of_property_read_bool(np, "reusable"),
		.order = min_t(unsigned int, get_order(BANK_GRANULE_BYTES),
			       pageblock_order),
	};
	ret = bank_check_pages(np, bank, rmem, why);
	if (!ret)
		ret = bank_check_users(np, why);
	if (!ret)
		ret = bank_take_part(bank, spec, why);
	if (!ret)
		ret = bank_make_granules(bank, why);
	if (!ret)
		ret = bank_add(bank, why);
	if (ret)
		bank_free_granules(bank);
	return ret;
}

/**
 * cm_bank_release() - let others claim a bank
 * @bank: a claimed bank, no page of which is taken from the system
 */
void cm_bank_release(struct cm_bank *bank)
{
	mutex_lock(&bank_list_lock);
	list_del(&bank->node);
	mutex_unlock(&bank_list_lock);
	bank->granule_count = 0;
	bank_free_granules(bank);
}

/**
 * cm_bank_shares_unit() - whether others wait while cm_bank_take() is at work
 * @bank:  the bank
 * @start: first page frame number
 * @count: number of page frames
 *
 * Return: whether a unit of CM_BANK_ALIGN page frames reaches out of the bank.
 */
bool cm_bank_shares_unit(const struct cm_bank *bank, unsigned long start,
			 unsigned long count)
{
	return ALIGN_DOWN(start, CM_BANK_ALIGN) < bank->start ||
	       ALIGN(start + count, CM_BANK_ALIGN) > bank->start + bank->count;
}

/**
 * cm_bank_take() - make the system leave pages of a reusable bank
 * @bank:  the bank, for which nobody else does this meanwhile
 * @start: first page frame number
 * @count: number of page frames
 *
 * Sleeps while pages are migrated. Each page has one reference then, the
 * caller's.
 *
 * Return: 0, EBUSY when a page would not leave, ENOMEM when the system had
 * nowhere to move one to, EINTR.
 */
int cm_bank_take(struct cm_bank *bank, unsigned long start,
		 unsigned long count)
{
	bool shared = cm_bank_shares_unit(bank, start, count);
	unsigned long i;
	int ret;

	if (shared)
		mutex_lock(&bank_shared_unit_lock);
	ret = cm_take_pages(start, count);
	if (shared)
		mutex_unlock(&bank_shared_unit_lock);
	/* A walk through a chunk from its first page on uses one pointer for all. */
	for (i = 0; !ret && i < count; i++)
		page_kasan_tag_reset(pfn_to_page(start + i));
	return ret;
}

/**
 * cm_bank_give() - give pages back to the system
 * @bank:  the bank they were taken from by cm_bank_take()
 * @start: first page frame number
 * @count: number of page frames
 *
 * Does not sleep. They are the system's then: not written by us, and cleared when
 * they are taken again. Not free_contig_range(), which warns of a page that somebody
 * looks at this instant (a walk over all memory takes such references): it is
 * free when that one lets go.
 */
void cm_bank_give(struct cm_bank *bank, unsigned long start,
		  unsigned long count)
{
	unsigned long i;

	cm_bank_note_zero(bank, start, count);
	for (i = 0; i < count; i++)
		__free_page(pfn_to_page(start + i));
}

/**
 * cm_bank_note_written() - have pages cleared before somebody gets them
 * @bank:  the bank, locked
 * @start: first page frame number
 * @count: number of page frames, taken, and nobody's from now on
 */
void cm_bank_note_written(struct cm_bank *bank, unsigned long start,
			  unsigned long count)
{
	bitmap_set(bank->written, start - bank->start, count);
}

/**
 * cm_bank_note_zero() - have pages left alone
 * @bank:  the bank, locked
 * @start: first page frame number
 * @count: number of page frames, which are zero, or the system's, or a chunk's
 *         from now on
 */
void cm_bank_note_zero(struct cm_bank *bank, unsigned long start,
		       unsigned long count)
{
	bitmap_clear(bank->written, start - bank->start, count);
}

/**
 * cm_bank_next_written() - find pages that are to be cleared
 * @bank:  the bank, locked
 * @start: first page frame number to look at
 * @end:   the one behind the last
 * @count: at most as many page frames; set to how many were found, one behind
 *         the other
 *
 * Return: the first of them; @end, and 0 of them, when there are none.
 */
unsigned long cm_bank_next_written(const struct cm_bank *bank,
				   unsigned long start, unsigned long end,
				   unsigned long *count)
{
	unsigned long size = end - bank->start;
	unsigned long first = find_next_bit(bank->written, size,
					    start - bank->start);

	first = min(first, size);
	size = min(size, first + *count);
	*count = find_next_zero_bit(bank->written, size, first) - first;
	return bank->start + first;
}

/**
 * cm_bank_clear() - fill pages with zeros
 * @start: first page frame number
 * @count: number of page frames of one bank, which nobody else uses
 *
 * Does not sleep. One memset() where the kernel has the bank mapped as a whole:
 * faster than page by page.
 */
void cm_bank_clear(unsigned long start, unsigned long count)
{
	/* There need not be a page behind the last one. */
	if (count && !PageHighMem(pfn_to_page(start))) {
		memset(page_address(pfn_to_page(start)), 0, count << PAGE_SHIFT);
		return;
	}
	while (count--)
		clear_highpage(pfn_to_page(start++));
}
