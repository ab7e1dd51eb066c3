/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * completion.c: bash completion, made from the table of verbs.
 */
#include <stdio.h>
#include <string.h>

#include "tool/tool.h"

static void print_options(const struct tool_option *o)
{
	for (; o->id; o++) {
		if (o->id < OPT_OUTPUT)
			printf("-%c ", o->id);
		if (o->name)
			printf("--%s ", o->name);
	}
}

/* What may stand behind an option: words, where they are few and known. */
static void print_values(const char *pattern, const char *words)
{
	printf("\t%s)\n\t\tCOMPREPLY=($(compgen -W '%s' -- \"$cur\"))\n"
	       "\t\treturn ;;\n", pattern, words);
}

void tool_complete_bash(void)
{
	puts("# bash completion for xdisk; made by 'xdisk completion bash'\n"
	     "_xdisk()\n{\n"
	     "\tlocal cur=${COMP_WORDS[COMP_CWORD]}\n"
	     "\tlocal prev=${COMP_WORDS[COMP_CWORD-1]} words=");
	puts("\tcase $prev in");
	print_values("-f|-F|--format|--backing-format", "raw qcow2");
	print_values("--output", "human json");
	print_values("-t|--cache",
		     "none writeback writethrough directsync unsafe");
	print_values("--aio", "auto io_uring native threads");
	puts("\tesac\n\tif ((COMP_CWORD == 1)); then");
	printf("\t\twords='");
	for (int i = 0; tool_verbs[i]; i++)
		printf("%s ", tool_verbs[i]->name);
	puts("help completion'\n\telse\n\t\tcase ${COMP_WORDS[1]} in");
	for (int i = 0; tool_verbs[i]; i++) {
		printf("\t\t%s) words='", tool_verbs[i]->name);
		print_options(tool_verbs[i]->options);
		print_options(tool_every_option);
		puts("' ;;");
	}
	printf("\t\thelp) words='");
	for (int i = 0; tool_verbs[i]; i++)
		printf("%s ", tool_verbs[i]->name);
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
