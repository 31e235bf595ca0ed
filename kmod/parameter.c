// SPDX-License-Identifier: GPL-2.0
/*
 * Parameter: contexts for boards whose device tree cannot be changed.
 *
 * contexts="NAME=BANK[/private][/offset=BYTES][/size=BYTES][/align=BYTES][;...]",
 * where BANK is a node below /reserved-memory and bytes may end in K, M or G. Neither
 * "/" nor ";" can be in the name of a node.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "bank.h"
#include "parameter.h"
#include "wish.h"

static char *contexts;
module_param(contexts, charp, 0444);
MODULE_PARM_DESC(contexts,
		 "NAME=BANK[/private][/offset=BYTES][/size=BYTES][/align=BYTES][;NAME=...]: contexts besides those of the device tree");

static bool read_bytes(const char *word, const char *key, u64 *bytes)
{
	size_t length = strlen(key);
	char *end;

	if (strncmp(word, key, length))
		return false;
	*bytes = memparse(word + length, &end);
	return end != word + length && !*end;
}

static bool read_option(const char *word, struct cm_wish *wish)
{
	if (!strcmp(word, "private")) {
		wish->private = true;
		return true;
	}
	return read_bytes(word, "offset=", &wish->offset) ||
	       read_bytes(word, "size=", &wish->size) ||
	       read_bytes(word, "align=", &wish->min_align);
}

static int make(char *text)
{
	struct cm_wish wish = { .min_align = PAGE_SIZE };
	char *name = strsep(&text, "="), *bank = strsep(&text, "/"), *word;
	int ret;

	if (!bank || strscpy(wish.name, name, sizeof(wish.name)) < 0) {
		pr_err("cm: contexts: \"%s\": expected NAME=BANK\n", name);
		return -EINVAL;
	}
	while ((word = strsep(&text, "/"))) {
		if (read_option(word, &wish))
			continue;
		pr_err("cm: contexts: %s: \"%s\" is none of private, offset=BYTES, size=BYTES and align=BYTES\n",
		       name, word);
		return -EINVAL;
	}
	wish.bank = cm_bank_find(bank);
	if (!wish.bank) {
		pr_err("cm: contexts: %s: there is no /reserved-memory/%s\n",
		       name, bank);
		return -ENOENT;
	}
	ret = cm_wish_grant(&wish);
	of_node_put(wish.bank);
	return ret;
}

/**
 * cm_parameter_apply() - make the contexts of the module's parameter
 *
 * Return: 0 or an error, whose reason is in the kernel log; the contexts that
 * come before the mistake are there.
 */
int cm_parameter_apply(void)
{
	char *copy, *rest, *text;
	int ret = 0;

	if (!contexts || !*contexts)
		return 0;
	copy = kstrdup(contexts, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	rest = copy;
	while (!ret && (text = strsep(&rest, ";")))
		ret = make(text);
	kfree(copy);
	return ret;
}
