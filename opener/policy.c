/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* policy.c: see policy.h. Looks at nothing but its arguments. */
#include "opener/policy.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

int policy_parse_data_file(const char *value, struct policy *p)
{
	p->data_path = NULL;
	if (!strcmp(value, "none")) {
		p->data_rule = DATA_NONE;
	} else if (!strcmp(value, "beside")) {
		p->data_rule = DATA_BESIDE;
	} else if (*value == '/') {
		p->data_rule = DATA_PATH;
		p->data_path = value;
	} else {
		return -EINVAL;
	}
	return 0;
}

int policy_judge_dirs(const char *image_dirs, struct error *err)
{
	const char *dir = image_dirs;
	size_t len;

	do {
		len = strcspn(dir, ":");
		if (*dir != '/')
			return error_set(err, EINVAL, "\"%s\": \"%.*s\" is not "
					 "an absolute path of a folder (several "
					 "have ':' between them)", image_dirs,
					 (int)len, dir);
		dir += len;
	} while (*dir++ == ':');
	return 0;
}

/* A backing image gets no name from a rule: that is of the image above. */
static enum policy_verdict judge_unnamed(const struct policy *p,
					 const struct policy_facts *f)
{
	if (!f->topmost)
		return POLICY_DATA_UNNAMED_BELOW;
	return p->data_rule == DATA_PATH ? POLICY_ALLOWED : POLICY_DATA_UNNAMED;
}

static enum policy_verdict judge_data_file(const struct policy *p,
				      const struct policy_facts *f)
{
	if (!f->named)
		return judge_unnamed(p, f);
	switch (p->data_rule) {
	case DATA_ANY:
		break;
	case DATA_NONE:
		return POLICY_DATA_NONE;
	case DATA_BESIDE:
		return f->beside ? POLICY_ALLOWED : POLICY_DATA_ELSEWHERE;
	case DATA_PATH:
		return f->data_path ? POLICY_ALLOWED : POLICY_DATA_OTHER;
	}
	return POLICY_ALLOWED;
}

/* What the configuration names by itself is a person's word. */
static bool persons_word(const struct policy *p, const struct policy_facts *f)
{
	return !f->by_image ||
	       (f->purpose == OPENER_DATA && p->data_rule == DATA_PATH);
}

static enum policy_verdict judge_purpose(const struct policy *p,
					 const struct policy_facts *f)
{
	switch (f->purpose) {
	case OPENER_BACKING:
		return f->write && !p->backing_writable ? POLICY_READ_ONLY :
							  POLICY_ALLOWED;
	case OPENER_PART:
		return f->beside ? POLICY_ALLOWED : POLICY_PART_ELSEWHERE;
	case OPENER_DATA:
		return judge_data_file(p, f);
	default:
		return POLICY_ALLOWED;
	}
}

enum policy_verdict policy_judge(const struct policy *p,
				 const struct policy_facts *f)
{
	enum policy_verdict v = POLICY_ALLOWED;

	if (f->by_image)
		v = judge_purpose(p, f);
	if (v != POLICY_ALLOWED)
		return v;
	if (!S_ISREG(f->mode) && !S_ISBLK(f->mode))
		return POLICY_NOT_A_FILE;
	if (persons_word(p, f))
		return POLICY_ALLOWED;
	if (f->mode & (S_ISUID | S_ISGID))
		return POLICY_SET_ID;
	if (!f->in_dirs)
		return POLICY_OUTSIDE;
	return f->owner_may ? POLICY_ALLOWED : POLICY_NOT_THE_OWNERS;
}
