// SPDX-License-Identifier: GPL-2.0
/*
 * Spec: what a context is to be, wherever that is written.
 */
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "spec.h"

/**
 * cm_refuse() - say why something cannot be made
 * @why:    the sentence is written there
 * @error:  a negative errno
 * @format: of the sentence, without a line break
 *
 * Return: @error.
 */
int cm_refuse(struct cm_refusal *why, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why->text, sizeof(why->text), format, args);
	va_end(args);
	return error;
}

/* Not islower() and isdigit(), which take letters beyond ASCII, too. */
static bool spec_is_name(const char *name)
{
	size_t length = strlen(name);

	return length && length < CM_NAME_LEN && strcmp(name, "control") &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == length;
}

/**
 * cm_spec_check() - check what can be checked without the bank
 * @spec: the spec
 * @why:  the reason when it is refused
 *
 * Return: 0 or EINVAL.
 */
int cm_spec_check(const struct cm_spec *spec, struct cm_refusal *why)
{
	if (!spec_is_name(spec->name))
		return cm_refuse(why, -EINVAL,
				 "label \"%s\": must be 1 to %d of a-z, 0-9, - and _, and not \"control\"",
				 spec->name, CM_NAME_LEN - 1);
	/* Not is_power_of_2(), which takes an unsigned long. */
	if (!spec->min_align || spec->min_align & (spec->min_align - 1))
		return cm_refuse(why, -EINVAL,
				 "minimum alignment (cm,min-alignment) is %llu: must be a power of two",
				 spec->min_align);
	return 0;
}
