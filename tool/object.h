/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * object.h: --object, which gives the program a passphrase:
 *
 *	secret,id=ID,data=TEXT		for all on this machine to see in ps
 *	secret,id=ID,file=PATH		"-" is the standard input
 *	...,format=raw|base64
 */
#ifndef XD_TOOL_OBJECT_H
#define XD_TOOL_OBJECT_H

/* EXIT_OK or EXIT_FAILED, printed. */
int tool_object(const char *text);

#endif
