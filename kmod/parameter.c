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

static struct cm_wish *wishes;
static unsigned int wish_count;

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

static int read_wish(char *text, struct cm_wish *wish)
{
	char *name = strsep(&text, "="), *bank = strsep(&text, "/"), *word;

	*wish = (struct cm_wish){ .min_align = PAGE_SIZE };
	if (!bank || !*bank ||
	    strscpy(wish->name, name, sizeof(wish->name)) < 0) {
		pr_err("cm: contexts: \"%s\": expected NAME=BANK\n", name);
		return -EINVAL;
	}
	while ((word = strsep(&text, "/"))) {
		if (read_option(word, wish))
			continue;
		pr_err("cm: contexts: %s: \"%s\" is none of private, offset=BYTES, size=BYTES and align=BYTES\n",
		       name, word);
		return -EINVAL;
	}
	wish->bank = cm_bank_find(bank);
	if (!wish->bank) {
		pr_err("cm: contexts: %s was not made: there is no /reserved-memory/%s\n",
		       name, bank);
		return -ENOENT;
	}
	return 0;
}

static int read_wishes(char *rest)
{
	char *text;
	int ret = 0;

	while (!ret && (text = strsep(&rest, ";"))) {
		ret = read_wish(text, &wishes[wish_count]);
		wish_count += !ret;
		/* No mistake of the text: missing, like any that cannot be made. */
		if (ret == -ENOENT)
			ret = 0;
	}
	return ret;
}

static unsigned int count_wishes(const char *text)
{
	unsigned int count = 1;

	while (*text)
		count += *text++ == ';';
	return count;
}

/**
 * cm_parameter_read() - read the module's parameter
 *
 * A context in a bank that is not there will be missing.
 *
 * Return: 0, EINVAL, ENOMEM; the reason is in the kernel log.
 */
int cm_parameter_read(void)
{
	char *copy;
	int ret;

	if (!contexts || !*contexts)
		return 0;
	wishes = kcalloc(count_wishes(contexts), sizeof(*wishes), GFP_KERNEL);
	copy = kstrdup(contexts, GFP_KERNEL);
	ret = wishes && copy ? read_wishes(copy) : -ENOMEM;
	kfree(copy);
	if (ret)
		cm_parameter_drop();
	return ret;
}

/**
 * cm_parameter_drop() - forget what was read
 */
void cm_parameter_drop(void)
{
	while (wish_count)
		of_node_put(wishes[--wish_count].bank);
	kfree(wishes);
	wishes = NULL;
}

/**
 * cm_parameter_grant() - make the contexts that the parameter asks for
 *
 * One that cannot be made is missing; the reason is in the kernel log.
 */
void cm_parameter_grant(void)
{
	unsigned int i;

	for (i = 0; i < wish_count; i++) {
		int ret = cm_wish_grant(&wishes[i]);

		if (ret)
			pr_err("cm: contexts: %s was not made: error %d\n",
			       wishes[i].name, ret);
	}
	cm_parameter_drop();
}
