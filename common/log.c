/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* log.c: see log.h. Nothing is locked: a process logs from one thread. */
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/printable.h"

static const struct {
	const char *name;
	int syslog_priority;
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", LOG_ERR },
	[LOG_LEVEL_WARN] = { "warn", LOG_WARNING },
	[LOG_LEVEL_INFO] = { "info", LOG_INFO },
	[LOG_LEVEL_DEBUG] = { "debug", LOG_DEBUG },
};

static struct {
	const char *ident;
	enum log_level level;
	bool to_stderr;
	bool limited;
	struct log_object process;
	int pid;
	bool (*say)(enum log_level level, uint32_t sentence, const char *text);
	void (*left_out)(void *arg, uint64_t due_ns);
	void *left_out_arg;
} logger = { "xdisk", LOG_LEVEL_INFO, true };

void log_init(const char *ident, enum log_level level, bool to_stderr)
{
	logger.ident = ident;
	logger.pid = (int)getpid();
	logger.level = level;
	logger.to_stderr = to_stderr;
	if (!to_stderr)
		openlog(ident, LOG_PID, LOG_DAEMON);
}

void log_limit(void)
{
	logger.limited = true;
}

int log_parse_level(const char *name, enum log_level *level)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (!strcmp(name, levels[i].name)) {
			*level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *log_level_name(enum log_level level)
{
	return levels[level].name;
}

void log_object_init(struct log_object *o, const char *name)
{
	*o = (struct log_object){ 0 };
	snprintf(o->name, sizeof(o->name), "%s", name);
}

void log_set_object(const char *name)
{
	log_object_init(&logger.process, name);
}

void log_hand_over(bool (*say)(enum log_level level, uint32_t sentence,
			       const char *text))
{
	logger.say = say;
}

void log_when_left_out(void (*call)(void *arg, uint64_t due_ns), void *arg)
{
	logger.left_out = call;
	logger.left_out_arg = arg;
}

/* ---- a line ---- */

static void write_line(const struct log_object *o, enum log_level level,
		       uint32_t sentence, const char *text)
{
	char clean[1400], line[sizeof(clean) + 200];
	const char *sep = o->name[0] ? ": " : "";
	int n;

	printable(text, clean, sizeof(clean));
	if (logger.say && logger.say(level, sentence, clean))
		return;
	if (!logger.to_stderr) {
		syslog(levels[level].syslog_priority, "%s%s%s", o->name, sep,
		       clean);
		return;
	}
	n = snprintf(line, sizeof(line), "%s[%d]: %s: %s%s%s\n", logger.ident,
		     logger.pid, levels[level].name, o->name, sep, clean);
	if (write(STDERR_FILENO, line, min((size_t)n, sizeof(line) - 1)) < 0)
		return;	/* nowhere left to say it */
}

/* ---- its limit ---- */

/* FNV-1a */
static uint32_t hash_sentence(const char *fmt)
{
	uint32_t hash = 2166136261u;

	for (; *fmt; fmt++)
		hash = (hash ^ (unsigned char)*fmt) * 16777619u;
	return hash;
}

/* One of this sentence, else one that is free, else the last. */
static struct log_kind *find_kind(struct log_object *o, uint32_t sentence)
{
	struct log_kind *unused = NULL;

	for (size_t i = 0; i < LOG_KINDS; i++) {
		struct log_kind *k = &o->kinds[i];

		if (k->since_ns && k->sentence == sentence)
			return k;
		if (!k->since_ns && !unused)
			unused = k;
	}
	return unused ? unused : &o->kinds[LOG_KINDS - 1];
}

static void leave_out(struct log_object *o, struct log_kind *k,
		      const char *text)
{
	snprintf(k->last, sizeof(k->last), "%s", text);
	if (k->left_out++ == 0 && o == &logger.process && logger.left_out)
		logger.left_out(logger.left_out_arg,
				k->since_ns + LOG_INTERVAL_NS);
}

static bool may_say(struct log_object *o, enum log_level level,
		    uint32_t sentence, const char *text)
{
	uint64_t now = monotonic_ns(), next = UINT64_MAX;
	struct log_kind *k;

	log_settle(o, now, &next);
	k = find_kind(o, sentence);
	if (!k->since_ns)
		*k = (struct log_kind){ .sentence = sentence, .level = level,
					.since_ns = now };
	if (k->lines >= LOG_LINES) {
		leave_out(o, k, text);
		return false;
	}
	k->lines++;
	return true;
}

void log_handed(struct log_object *o, enum log_level level, uint32_t sentence,
		const char *text)
{
	bool limited = logger.limited && level < LOG_LEVEL_DEBUG;

	if (level > logger.level)
		return;
	if (!o)
		o = &logger.process;
	if (!limited || may_say(o, level, sentence, text))
		write_line(o, level, sentence, text);
}

void log_vwrite(struct log_object *o, enum log_level level, const char *fmt,
		va_list ap)
{
	char text[1200];

	if (level > logger.level)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	log_handed(o, level, hash_sentence(fmt), text);
}

void log_write(struct log_object *o, enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vwrite(o, level, fmt, ap);
	va_end(ap);
}

static void settle_kind(const struct log_object *o, struct log_kind *k)
{
	char text[sizeof(k->last) + 64];

	if (k->left_out) {
		snprintf(text, sizeof(text), "... %u more lines left out, the "
			 "last: %s", k->left_out, k->last);
		/* That there were more is another sentence. */
		write_line(o, (enum log_level)k->level, k->sentence + 1, text);
	}
	k->since_ns = 0;
}

void log_settle(struct log_object *o, uint64_t now_ns, uint64_t *next_ns)
{
	if (!o)
		o = &logger.process;
	for (size_t i = 0; i < LOG_KINDS; i++) {
		struct log_kind *k = &o->kinds[i];

		if (k->since_ns && now_ns >= k->since_ns + LOG_INTERVAL_NS)
			settle_kind(o, k);
		else if (k->left_out && k->since_ns)
			*next_ns = min(*next_ns,
				       k->since_ns + LOG_INTERVAL_NS);
	}
}
