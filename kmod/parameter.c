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
#include "driver.h"
#include "parameter.h"

static char *contexts;
module_param(contexts, charp, 0444);
MODULE_PARM_DESC(contexts,
		 "NAME=BANK[/private][/offset=BYTES][/size=BYTES][/align=BYTES][;NAME=...]: contexts besides those of the device tree");

static struct cm_spec *parameter_specs;
static unsigned int parameter_spec_count;

static bool parameter_read_bytes(const char *word, const char *key, u64 *bytes)
{
	size_t length = strlen(key);
	char *end;

	if (strncmp(word, key, length))
		return false;
	*bytes = memparse(word + length, &end);
	return end != word + length && !*end;
}

static bool parameter_read_option(const char *word, struct cm_spec *spec)
{
	if (!strcmp(word, "private")) {
		spec->private = true;
		return true;
	}
	return parameter_read_bytes(word, "offset=", &spec->offset) ||
	       parameter_read_bytes(word, "size=", &spec->size) ||
	       parameter_read_bytes(word, "align=", &spec->min_align);
}

static int parameter_read_one(char *text, struct cm_spec *spec)
{
	char *name = strsep(&text, "="), *bank = strsep(&text, "/"), *word;

	*spec = (struct cm_spec){ .min_align = PAGE_SIZE };
	if (!bank || !*bank ||
	    strscpy(spec->name, name, sizeof(spec->name)) < 0) {
		pr_err("cm: contexts: \"%s\": expected NAME=BANK\n", name);
		return -EINVAL;
	}
	while ((word = strsep(&text, "/"))) {
		if (parameter_read_option(word, spec))
			continue;
		pr_err("cm: contexts: %s: \"%s\" is none of private, offset=BYTES, size=BYTES and align=BYTES\n",
		       name, word);
		return -EINVAL;
	}
	spec->bank = cm_bank_find(bank);
	if (!spec->bank) {
		pr_err("cm: contexts: %s was not made: there is no /reserved-memory/%s\n",
		       name, bank);
		return -ENOENT;
	}
	return 0;
}

static int parameter_read_all(char *rest)
{
	char *text;
	int ret = 0;

	while (!ret && (text = strsep(&rest, ";"))) {
		ret = parameter_read_one(text, &parameter_specs[parameter_spec_count]);
		parameter_spec_count += !ret;
		/* Nothing is wrong with the text: missing, as any that is refused. */
		if (ret == -ENOENT)
			ret = 0;
	}
	return ret;
}

static unsigned int parameter_count(const char *text)
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
	parameter_specs = kcalloc(parameter_count(contexts), sizeof(*parameter_specs), GFP_KERNEL);
	copy = kstrdup(contexts, GFP_KERNEL);
	ret = parameter_specs && copy ? parameter_read_all(copy) : -ENOMEM;
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
	while (parameter_spec_count)
		of_node_put(parameter_specs[--parameter_spec_count].bank);
	kfree(parameter_specs);
	parameter_specs = NULL;
}

/**
 * cm_parameter_create() - make the contexts that the parameter asks for
 *
 * One that cannot be made is missing; the reason is in the kernel log.
 */
void cm_parameter_create(void)
{
	unsigned int i;

	for (i = 0; i < parameter_spec_count; i++) {
		struct cm_refusal why = { "" };
		int ret = cm_driver_create(parameter_specs[i], &why);

		if (ret)
			pr_err("cm: contexts: %s was not made: error %d: %s\n",
			       parameter_specs[i].name, ret, why.text);
	}
	cm_parameter_drop();
}
