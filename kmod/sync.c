// SPDX-License-Identifier: GPL-2.0
/*
 * Sync: handing memory from the CPU to devices and back.
 *
 * A processor that got a physical address (a DSP, an FPGA) imports
 * nothing, so there is no device of its own to sync for. The module has one
 * that stands for all of these: without a node in the device tree it is on no
 * bus, so it reaches every address as it is, and it is not coherent, so that
 * syncing for it does what the least coherent device needs, whatever the
 * board's other devices are. It is also who looks at other exporters' buffers
 * in attest.c.
 *
 * What the two syncs do to a page, on arm64 and on ARMv7 with its outer cache
 * (Documentation/core-api/dma-api.rst, "dma_sync_single_for_cpu"; arch/arm64/
 * mm/dma-mapping.c, arch/arm/mm/dma-mapping.c): for the device, lines that the
 * CPU has written go to memory and stay valid. For the CPU, lines are dropped,
 * so that it reads what a device wrote; a line that it has written and not yet
 * handed to the device would be lost, so the first comes before the second.
 */
#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/platform_device.h>
#include <linux/sched.h>
#include <linux/sizes.h>

#include "sync.h"

/* Page frames that are synced before others may have the CPU. */
#define SYNC_PIECE	(SZ_64K >> PAGE_SHIFT)

static struct platform_device *sync_pdev;

/**
 * cm_sync_init() - register the device
 *
 * Return: 0 or an error.
 */
int cm_sync_init(void)
{
	sync_pdev = platform_device_register_full(&(struct platform_device_info){
		.name = "cm-sync",
		.id = PLATFORM_DEVID_NONE,
		.dma_mask = DMA_BIT_MASK(64),
	});
	if (IS_ERR(sync_pdev))
		return PTR_ERR(sync_pdev);
	dma_set_max_seg_size(&sync_pdev->dev, UINT_MAX);
	return 0;
}

/**
 * cm_sync_exit() - unregister the device
 */
void cm_sync_exit(void)
{
	platform_device_unregister(sync_pdev);
}

/**
 * cm_sync_device() - the device that stands for all that import nothing
 *
 * Return: the device, as long as the module is loaded.
 */
struct device *cm_sync_device(void)
{
	return &sync_pdev->dev;
}

/*
 * Mapped for the length of one sync: the address is arithmetic, no resource. One
 * at a time for a page frame: the kernel's DMA-API debugging tells mappings of the
 * same place apart by nothing but their length, and takes others', as of O_DIRECT,
 * beside one that lasts for a mistake.
 */
static int sync_map(unsigned long start, unsigned long count, dma_addr_t *dma)
{
	*dma = dma_map_page_attrs(cm_sync_device(), pfn_to_page(start), 0,
				  count << PAGE_SHIFT, DMA_BIDIRECTIONAL,
				  DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_NO_WARN);
	return dma_mapping_error(cm_sync_device(), *dma);
}

static void sync_unmap(dma_addr_t dma, unsigned long count)
{
	dma_unmap_page_attrs(cm_sync_device(), dma, count << PAGE_SHIFT,
			     DMA_BIDIRECTIONAL, DMA_ATTR_SKIP_CPU_SYNC);
}

/**
 * cm_sync_is_bounced() - whether even this device is given bounce buffers
 * @start: number of a page frame
 *
 * So it is with swiotlb=force: no driver could ever reach a chunk itself.
 *
 * Return: whether.
 */
bool cm_sync_is_bounced(unsigned long start)
{
	dma_addr_t dma;
	bool bounced;

	if (sync_map(start, 1, &dma))
		return true;
	bounced = dma_to_phys(cm_sync_device(), dma) != PFN_PHYS(start);
	sync_unmap(dma, 1);
	return bounced;
}

static void sync_piece(unsigned long start, unsigned long count, bool for_cpu)
{
	struct device *dev = cm_sync_device();
	size_t size = count << PAGE_SHIFT;
	dma_addr_t dma;

	if (WARN_ON_ONCE(sync_map(start, count, &dma)))
		return;
	dma_sync_single_for_device(dev, dma, size, DMA_BIDIRECTIONAL);
	if (for_cpu)
		dma_sync_single_for_cpu(dev, dma, size, DMA_BIDIRECTIONAL);
	sync_unmap(dma, count);
}

/**
 * cm_sync() - let devices see what the CPU wrote
 * @start:   first page frame number
 * @count:   number of page frames
 * @for_cpu: let the CPU see what devices wrote, too
 *
 * For @for_cpu, what the CPU writes to the very lines during this may be lost. So
 * pieces are small, and written back right before they are dropped.
 */
void cm_sync(unsigned long start, unsigned long count, bool for_cpu)
{
	unsigned long piece;

	for (; count; start += piece, count -= piece) {
		piece = min_t(unsigned long, count, SYNC_PIECE);
		sync_piece(start, piece, for_cpu);
		cond_resched();
	}
}
