/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* amend.c: see amend.h. */
#include "image/luks/amend.h"

#include <errno.h>
#include <string.h>

#include "common/bits.h"
#include "common/size.h"
#include "image/luks/keys.h"

#define MAX_ITER_MS 600000u

struct wishes {
	const char *state, *new_secret, *old_secret, *keyslot, *iter_time;
	bool active;
	int slot;			/* -1: not given */
	uint64_t iter_ms;		/* 0: not given */
};

/* ---- options ---- */

static void collect_wishes(const struct luks_amend *a, struct wishes *w)
{
	size_t skip = strlen(a->prefix);
	const struct {
		const char *name, **value;
	} fields[] = {
		{ "state", &w->state }, { "new-secret", &w->new_secret },
		{ "old-secret", &w->old_secret }, { "keyslot", &w->keyslot },
		{ "iter-time", &w->iter_time },
	};

	for (unsigned int i = 0; i < a->nr; i++) {
		const struct image_create_option *o = &a->options[i];

		if (strncmp(o->name, a->prefix, skip))
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(fields); k++)
			if (!strcmp(o->name + skip, fields[k].name))
				*fields[k].value = o->value;
	}
}

static int parse_slot_numbers(struct wishes *w, struct error *err)
{
	uint64_t n;

	w->slot = -1;
	if (w->keyslot && number_parse(w->keyslot, LUKS_SLOTS - 1, &n))
		return error_set(err, EINVAL, "Invalid keyslot: %s, should be "
				 "between 0 and %u", w->keyslot,
				 LUKS_SLOTS - 1);
	if (w->keyslot)
		w->slot = (int)n;
	if (w->iter_time && (number_parse(w->iter_time, MAX_ITER_MS,
					  &w->iter_ms) || !w->iter_ms))
		return error_set(err, EINVAL, "Parameter 'iter-time' expects 1 "
				 "to %u milliseconds, not '%s'", MAX_ITER_MS,
				 w->iter_time);
	return 0;
}

static int judge_active(const struct wishes *w, struct error *err)
{
	if (!w->new_secret)
		return error_set(err, EINVAL, "'new-secret' is required to "
				 "activate a keyslot");
	if (w->old_secret)
		return error_set(err, EINVAL, "'old-secret' must not be given "
				 "when activating keyslots");
	return secret_find(w->new_secret, err) ? 0 : -ENOENT;
}

static int validate_erasing(const struct wishes *w, struct error *err)
{
	if (w->new_secret)
		return error_set(err, EINVAL, "'new-secret' must not be given "
				 "when erasing keyslots");
	if (w->iter_time)
		return error_set(err, EINVAL, "'iter-time' must not be given "
				 "when erasing keyslots");
	if (!w->old_secret && w->slot < 0)
		return error_set(err, EINVAL, "To erase keyslot(s), either "
				 "explicit keyslot index or the password "
				 "currently contained in them must be given");
	if (w->old_secret && !secret_find(w->old_secret, err))
		return -ENOENT;
	return 0;
}

static int parse_wishes(const struct luks_amend *a, struct wishes *w,
			struct error *err)
{
	int ret;

	memset(w, 0, sizeof(*w));
	collect_wishes(a, w);
	if (!w->state)
		return error_set(err, EINVAL, "Parameter '%sstate' is missing "
				 "(known: active, inactive)", a->prefix);
	w->active = !strcmp(w->state, "active");
	if (!w->active && strcmp(w->state, "inactive"))
		return error_set(err, EINVAL, "Parameter '%sstate' does not "
				 "accept value '%s' (known: active, inactive)",
				 a->prefix, w->state);
	ret = parse_slot_numbers(w, err);
	if (ret)
		return ret;
	return w->active ? judge_active(w, err) : validate_erasing(w, err);
}

int luks_amend_judge(const struct luks_amend *a, struct error *err)
{
	struct wishes w;

	return parse_wishes(a, &w, err);
}

/* ---- doing it ---- */

static int add_key(const struct luks_area *area, const struct luks_amend *a,
		   struct luks *l, const struct wishes *w, struct error *err)
{
	const struct secret *old = secret_find(a->key_secret, err);
	const struct secret *new = secret_find(w->new_secret, err);
	cleanup_secret uint8_t *key = NULL;
	int ret;

	if (!old || !new)
		return -ENOENT;
	ret = luks_unlock(area, l, old, &key, NULL, err);
	if (!ret && a->force && w->slot >= 0 && l->slots[w->slot].active)
		ret = luks_erase_slot(area, l, (unsigned int)w->slot, err);
	return ret ? ret : luks_add_key(area, l, key, new, w->slot, w->iter_ms,
					err);
}

/* co. Which active slots (of `wanted`) open with the passphrase. */
static int find_slots(const struct luks_area *area, const struct luks *l,
		      const struct secret *pass, unsigned int wanted,
		      unsigned int *found)
{
	cleanup_secret uint8_t *key = secret_alloc(l->key_len);
	int ret = key ? 0 : -ENOMEM;

	*found = 0;
	for (unsigned int i = 0; !ret && i < LUKS_SLOTS; i++) {
		if (!l->slots[i].active || !(wanted & (1u << i)))
			continue;
		ret = luks_unlock_slot(area, l, i, pass, key);
		if (!ret)
			*found |= 1u << i;
		ret = ret == -EPERM ? 0 : ret;
	}
	return ret;
}

/* co. A bit for each slot to erase. */
static int choose_slots(const struct luks_area *area, const struct luks *l,
			const struct wishes *w, bool force, unsigned int *slots,
			struct error *err)
{
	unsigned int active = 0;
	int ret = 0;

	for (unsigned int i = 0; i < LUKS_SLOTS; i++)
		active |= l->slots[i].active ? 1u << i : 0;
	*slots = w->slot >= 0 ? 1u << w->slot : (1u << LUKS_SLOTS) - 1;
	if (w->old_secret)
		ret = find_slots(area, l, secret_find(w->old_secret, NULL),
				 *slots, slots);
	if (ret)
		return error_set_errno(err, -ret, "looking at the keyslots");
	if (!*slots)
		return error_set(err, EINVAL, "No keyslots match given (old) "
				 "password for erase operation");
	if (force)
		return 0;
	if (!(*slots & active))
		return error_set(err, EINVAL, "Given keyslot %d is already "
				 "erased (inactive)", w->slot);
	if (*slots == active)
		return error_set(err, EINVAL, "Attempt to erase the only active "
				 "keyslot(s), which will erase all the data in "
				 "the image irreversibly - refusing operation "
				 "(--force does it)");
	return 0;
}

static int erase_keys(const struct luks_area *area, const struct luks_amend *a,
		      struct luks *l, const struct wishes *w, struct error *err)
{
	unsigned int slots;
	int ret = choose_slots(area, l, w, a->force, &slots, err);

	for (unsigned int i = 0; !ret && i < LUKS_SLOTS; i++)
		if (slots & (1u << i))
			ret = luks_erase_slot(area, l, i, err);
	return ret;
}

int luks_amend(const struct luks_area *area, const struct luks_amend *a,
	       struct error *err)
{
	struct wishes w;
	struct luks l;
	int ret = parse_wishes(a, &w, err);

	if (!ret)
		ret = luks_read(area, &l, err);
	if (ret)
		return ret;
	return w.active ? add_key(area, a, &l, &w, err) :
			  erase_keys(area, a, &l, &w, err);
}
