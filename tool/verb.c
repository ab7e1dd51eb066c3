/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verb.c: see verb.h. */
#include "config.h"

#include "tool/verb.h"

#include <stdio.h>

#include "common/io-modes.h"
#include "image/graph/format.h"
#include "image/graph/protocol.h"

const struct tool_option tool_every_option[] = {
	{ OPT_OBJECT, "object", "OBJECT", "secret,id=ID,data=...|file=...; names "
	  "a passphrase" },
	{ OPT_STRICT_FORMAT, "strict-format", NULL, "never guess a format" },
	{ OPT_IMAGE_DIRS, "image-dirs", "DIR:...", "where the files lie that "
	  "images may name" },
	{ OPT_HELP, "help", NULL, "tell this" },
	TOOL_END,
};

/* ---- help ---- */

void tool_help_program(const struct verb *const *verbs)
{
	printf("xdisk %s: disk images and what is in them\n\n"
	       "Usage: xdisk VERB [OPTION...] ...\n\nVerbs:\n",
	       PACKAGE_VERSION);
	for (; *verbs; verbs++)
		printf("  %-12s %s\n", (*verbs)->name, (*verbs)->summary);
	puts("  help         tell what a verb does: xdisk help VERB\n"
	     "  completion   print a script for a shell: xdisk completion bash\n"
	     "\nOptions: -h, --help; -V, --version\n"
	     "Sizes are bytes or have a suffix: k, M, G, T, P, E (of 1024).\n");
	printf("Supported formats: %s\nProtocols: %s\n",
	       image_format_names(), image_protocol_names());
}

static void help_option(const struct tool_option *o)
{
	char left[64];

	if (o->id < OPT_OUTPUT && o->name)
		snprintf(left, sizeof(left), "-%c, --%s%s%s", o->id, o->name,
			 o->arg ? " " : "", o->arg ? o->arg : "");
	else if (o->name)
		snprintf(left, sizeof(left), "    --%s%s%s", o->name,
			 o->arg ? " " : "", o->arg ? o->arg : "");
	else
		snprintf(left, sizeof(left), "-%c %s", o->id,
			 o->arg ? o->arg : "");
	printf("  %-28s %s\n", left, o->help);
}

void tool_help_verb(const struct verb *verb)
{
	printf("xdisk %s: %s\n\nUsage: xdisk %s [OPTION...] %s\n\nOptions:\n",
	       verb->name, verb->summary, verb->name, verb->usage);
	for (const struct tool_option *o = verb->options; o->id; o++)
		help_option(o);
	for (const struct tool_option *o = tool_every_option; o->id; o++)
		help_option(o);
	if (verb->more)
		printf("\n%s\n", verb->more);
}

/* ---- completion ---- */

static void complete_options(const struct tool_option *o)
{
	for (; o->id; o++) {
		if (o->id < OPT_OUTPUT)
			printf("-%c ", o->id);
		if (o->name)
			printf("--%s ", o->name);
	}
}

/* The words that an option takes, where they are few and known. */
static void complete_value(const char *pattern, const char *words)
{
	printf("\t%s)\n\t\tCOMPREPLY=($(compgen -W '%s' -- \"$cur\"))\n"
	       "\t\treturn ;;\n", pattern, words);
}

static void print_names(const struct verb *const *verbs)
{
	for (; *verbs; verbs++)
		printf("%s ", (*verbs)->name);
}

void tool_complete_bash(const struct verb *const *verbs)
{
	puts("# bash completion for xdisk; made by 'xdisk completion bash'\n"
	     "_xdisk()\n{\n"
	     "\tlocal cur=${COMP_WORDS[COMP_CWORD]}\n"
	     "\tlocal prev=${COMP_WORDS[COMP_CWORD-1]} words=");
	puts("\tcase $prev in");
	complete_value("-f|-F|--format|--backing-format", "raw qcow2");
	complete_value("--output", "human json");
	complete_value("-t|--cache",
		     IMAGE_CACHE_MODES(" "));
	complete_value("--aio", AIO_ENGINES(" ", "native"));
	puts("\tesac\n\tif ((COMP_CWORD == 1)); then");
	printf("\t\twords='");
	print_names(verbs);
	puts("help completion'\n\telse\n\t\tcase ${COMP_WORDS[1]} in");
	for (int i = 0; verbs[i]; i++) {
		printf("\t\t%s) words='", verbs[i]->name);
		complete_options(verbs[i]->options);
		complete_options(tool_every_option);
		puts("' ;;");
	}
	printf("\t\thelp) words='");
	print_names(verbs);
	puts("' ;;\n\t\tcompletion) words=bash ;;\n\t\tesac\n\tfi\n"
	     "\tif [[ $cur == -* || $COMP_CWORD -eq 1 ||\n"
	     "\t      ${COMP_WORDS[1]} == @(help|completion) ]]; then\n"
	     "\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	     "\telse\n"
	     "\t\tcompopt -o filenames\n"
	     "\t\tCOMPREPLY=($(compgen -f -- \"$cur\"))\n"
	     "\tfi\n}\n"
	     "complete -F _xdisk xdisk");
}
