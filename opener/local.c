/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * local.c: see local.h.
 *
 *	find (O_PATH) --> facts --> policy_judge() --> open what was found
 *
 * All facts are of what was found, not of its name: another file may come to its
 * place meanwhile.
 */
#include "opener/local.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "opener/authority.h"
#include "opener/beside.h"
#include "opener/host-file.h"

/* Images that may name others: more than any chain has. */
#define MOST_LAYERS 512

struct layer {
	char *name;
	uid_t owner;
};

void opened_clear(struct opened *o)
{
	if (o->fd >= 0)
		close(o->fd);
	free(o->name);
	*o = (struct opened)OPENED_INIT;
}

static const struct layer *find_opened(const struct local_opener *l,
				      const char *name)
{
	for (size_t i = 0; i < l->nr_layers; i++) {
		if (!strcmp(l->layers[i].name, name))
			return &l->layers[i];
	}
	return NULL;
}

static int add_layer(struct local_opener *l, const char *name, uid_t owner)
{
	struct layer *layers;
	char *copy;

	if (find_opened(l, name))
		return 0;
	if (l->nr_layers == MOST_LAYERS)
		return -ENFILE;
	layers = reallocarray(l->layers, l->nr_layers + 1, sizeof(*layers));
	if (!layers)
		return -ENOMEM;
	l->layers = layers;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	layers[l->nr_layers++] = (struct layer){ copy, owner };
	return 0;
}

/* ---- one file ---- */

/* A file on its way. */
struct candidate {
	const struct opener_ask *ask;
	const char *name;
	uid_t owner;			/* of the file that names it */
	int found;			/* O_PATH */
	int ret;			/* of finding it */
	struct error why;
	struct stat st;
	char *real;			/* name */
	struct policy_facts facts;
};

/* Is `real` one of the folders, or in it? */
static bool in_folder(const char *real, const char *dir, size_t len)
{
	char name[PATH_MAX], folder[PATH_MAX];
	size_t n;

	if (len >= sizeof(name))
		return false;
	memcpy(name, dir, len);
	name[len] = 0;
	if (!realpath(name, folder))
		return false;
	n = strlen(folder);
	return !strncmp(real, folder, n) &&
	       (real[n] == '/' || (n == 1 && *folder == '/'));
}

static bool in_dirs(const char *dirs, const char *real)
{
	if (!dirs)
		return true;
	for (size_t len; *dirs; dirs += len + (dirs[len] == ':')) {
		len = strcspn(dirs, ":");
		if (real && in_folder(real, dirs, len))
			return true;
	}
	return false;
}

/* With the rights of the user that files are opened for now. */
static bool may_open(int found, bool write)
{
	int mode = R_OK | (write ? W_OK : 0);

	return !syscall(SYS_faccessat2, found, "", mode,
			AT_EMPTY_PATH | AT_EACCESS);
}

static bool is_file_named(const struct stat *st, const char *name)
{
	struct stat other;

	return name && !stat(name, &other) && st->st_dev == other.st_dev &&
	       st->st_ino == other.st_ino;
}

/* One that is not there breaks no rule by what it is. */
static void find_facts(const struct policy *p, struct candidate *c)
{
	struct policy_facts *f = &c->facts;
	int beside = c->ask->by ? judge_beside(c->ask->by, c->name, c->real,
					       &c->why) : 0;

	if (c->ret) {
		f->mode = S_IFREG;
		f->owner_may = f->in_dirs = true;
		f->beside = beside != -EACCES;
		f->data_path = p->data_path && access(p->data_path, F_OK);
		return;
	}
	f->mode = c->st.st_mode;
	f->owner_may = may_open(c->found, f->write);
	f->in_dirs = in_dirs(p->image_dirs, c->real);
	f->beside = c->ask->by && beside == 0;
	f->data_path = is_file_named(&c->st, p->data_path);
}

/* ---- sentences ---- */

static const char *const what_of[OPENER_NR_PURPOSES] = {
	[OPENER_IMAGE] = "image", [OPENER_BACKING] = "backing file",
	[OPENER_DATA] = "data file", [OPENER_PART] = "file",
	[OPENER_SECRET] = "secret",
};

/* A path as it was written: that of a device is a link, to a name of the day. */
static int refuse_data(const struct policy *p, const struct candidate *c,
		       const char *why, struct error *err)
{
	cleanup_free char *real =
		*c->name == '/' ? NULL : realpath(c->name, NULL);

	return error_set(err, EACCES, "'%.200s' has its data in '%.200s', which "
			 "is not opened: %.300s (to allow it, write \"data-file "
			 "= %.200s\" into %s)", c->ask->by, c->name, why,
			 c->ret == 0 && c->facts.beside ? "beside" :
			 real ? real : c->name, p->where);
}

static int refuse_named(const struct candidate *c, const char *why,
			const char *remedy, struct error *err)
{
	return error_set(err, EACCES, "'%.200s' names the %s '%.200s', which is "
			 "not opened: %.300s%s", c->ask->by,
			 what_of[c->ask->purpose], c->name, why, remedy);
}

static int refuse_outside(const struct policy *p, const struct candidate *c,
			  struct error *err)
{
	const char *name = c->real ? c->real : c->name;
	const char *slash = strrchr(name, '/');
	struct error why = ERROR_INIT, remedy = ERROR_INIT;

	error_set(&why, EACCES, "'%.200s' is in none of the folders of "
		  "image-dirs = %.200s", name, p->image_dirs);
	error_set(&remedy, EACCES, " (to allow it, write \"image-dirs = "
		  "%.200s:%.*s\" into %.200s)", p->image_dirs,
		  slash > name ? (int)(slash - name) : 1, name, p->where);
	return refuse_named(c, why.msg, remedy.msg, err);
}

static int refuse_owners(const struct candidate *c, struct error *err)
{
	struct error why = ERROR_INIT;

	error_set(&why, EACCES, "the owner of '%.200s', user %u, may not %s it",
		  c->ask->by, (unsigned int)c->owner,
		  c->facts.write ? "write" : "read");
	return refuse_named(c, why.msg, " (to allow it, let that user do so, or "
			    "give the image to another)", err);
}

static int refuse_other_data(const struct policy *p, const struct candidate *c,
			     struct error *err)
{
	struct error why = ERROR_INIT;

	error_set(&why, EACCES, "only '%.200s' is allowed", p->data_path);
	return refuse_data(p, c, why.msg, err);
}

static int say_verdict(const struct policy *p, enum policy_verdict v,
		       const struct candidate *c, struct error *err)
{
	switch (v) {
	case POLICY_ALLOWED:
		return 0;
	case POLICY_NOT_A_FILE:
		if (S_ISDIR(c->st.st_mode) && c->facts.write)
			return -EISDIR;	/* as open(2) has it */
		return host_file_judge(c->name, &c->st, err);
	case POLICY_SET_ID:
		return refuse_named(c, "it is a set-user-ID or set-group-ID "
				    "program", " (to allow it, take these bits "
				    "away: chmod ug-s)", err);
	case POLICY_NOT_THE_OWNERS:
		return refuse_owners(c, err);
	case POLICY_OUTSIDE:
		return refuse_outside(p, c, err);
	case POLICY_READ_ONLY:
		return refuse_named(c, "it would be written to", "", err);
	case POLICY_PART_ELSEWHERE:
		return error_set(err, EACCES, "%s", c->why.msg);
	case POLICY_DATA_NONE:
		return refuse_data(p, c, "no data file is allowed for it", err);
	case POLICY_DATA_ELSEWHERE:
		return refuse_data(p, c, c->why.msg, err);
	case POLICY_DATA_OTHER:
		return refuse_other_data(p, c, err);
	case POLICY_DATA_UNNAMED:
		return error_set(err, EACCES, "'%.200s' has its data in another "
				 "file and does not record which (to name it, "
				 "write \"data-file = PATH\" into %s)",
				 c->ask->by, p->where);
	case POLICY_DATA_UNNAMED_BELOW:
		return error_set(err, EACCES, "'%.200s' has its data in another "
				 "file and does not record which", c->ask->by);
	}
	return -EACCES;
}

/* ---- the way ---- */

static bool names_others(enum opener_purpose purpose)
{
	return purpose == OPENER_IMAGE || purpose == OPENER_BACKING;
}

static int take_found(struct local_opener *l, struct candidate *c,
		      struct opened *out)
{
	int ret = host_file_open_found(c->found, c->ask->write ? O_RDWR :
				       O_RDONLY, &out->fd);

	if (ret)
		return ret;
	host_file_device_limits(&c->st, &out->limits);
	out->name = strdup(c->name);
	if (!out->name)
		return -ENOMEM;
	return names_others(c->ask->purpose) ?
		       add_layer(l, c->name, c->st.st_uid) : 0;
}

static int judge_and_open(struct local_opener *l, struct candidate *c,
			  struct opened *out, struct error *err)
{
	const struct policy *p = l->policy;
	int ret;

	c->ret = host_file_find(c->name, c->facts.by_image, &c->found,
				&c->st);
	if (c->ret == 0)
		c->real = host_file_real_name(c->found);
	find_facts(p, c);
	ret = say_verdict(p, policy_judge(p, &c->facts), c, err);
	if (ret == 0)
		ret = c->ret;
	return ret ? ret : take_found(l, c, out);
}

/* Whose word it is. */
static int find_whose_word(const struct local_opener *l, struct candidate *c,
		      struct error *err)
{
	const struct layer *layer;

	if (!l->owners || !c->ask->by)
		return 0;
	layer = find_opened(l, c->ask->by);
	if (!layer)
		return error_set(err, EPERM, "'%.200s' is not one of the images "
				 "that were opened", c->ask->by);
	c->owner = layer->owner;
	return 0;
}

static int local_open(struct opener *opener, const struct opener_ask *ask,
		      struct opened *out, struct error *err)
{
	struct local_opener *l = container_of(opener, struct local_opener,
					      opener);
	const struct policy *p = l->policy;
	struct candidate c = {
		.ask = ask,
		.name = ask->name ? ask->name : p->data_path ? p->data_path : "",
		.found = -1,
		.facts = {
			.purpose = ask->purpose,
			.write = ask->write,
			.by_image = ask->by,
			.topmost = ask->by && l->nr_layers &&
				   !strcmp(l->layers[0].name, ask->by),
			.named = ask->name,
		},
	};
	int ret = find_whose_word(l, &c, err);

	*out = (struct opened)OPENED_INIT;
	if (ret)
		return ret;
	ret = authority_take(c.owner);
	if (ret == 0)
		ret = judge_and_open(l, &c, out, err);
	authority_drop();
	if (c.found >= 0)
		close(c.found);
	free(c.real);
	if (ret)
		opened_clear(out);
	return ret;
}

void local_opener_init(struct local_opener *l, const struct policy *policy,
		       bool owners)
{
	*l = (struct local_opener){
		.opener = { .open = local_open,
			    .names_data = policy->data_rule != DATA_ANY },
		.policy = policy,
		.owners = owners,
	};
}

void local_opener_clear(struct local_opener *l)
{
	for (size_t i = 0; i < l->nr_layers; i++)
		free(l->layers[i].name);
	free(l->layers);
	l->layers = NULL;
	l->nr_layers = 0;
}

int opener_open(struct opener *opener, const struct opener_ask *ask,
		struct opened *out, struct error *err)
{
	static const struct policy any = {
		.data_rule = DATA_ANY, .backing_writable = true,
	};
	struct local_opener l;
	int ret;

	if (opener)
		return opener->open(opener, ask, out, err);
	local_opener_init(&l, &any, false);
	ret = local_open(&l.opener, ask, out, err);
	local_opener_clear(&l);
	return ret;
}
