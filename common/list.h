/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * list.h: a doubly linked list whose links live inside its members.
 *
 * A head and an unlinked member both point at themselves, so list_del() may be
 * called twice and list_empty(&member) tells whether it is on a list.
 */
#ifndef XD_COMMON_LIST_H
#define XD_COMMON_LIST_H

#include "common/bits.h"

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(name) { &(name), &(name) }

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_add_after(struct list *pos, struct list *item)
{
	item->prev = pos;
	item->next = pos->next;
	pos->next->prev = item;
	pos->next = item;
}

/* The head stands before the first and behind the last member. */
static inline void list_add_tail(struct list *head, struct list *item)
{
	list_add_after(head->prev, item);
}

static inline void list_del(struct list *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	list_init(item);
}

/* Moves all members of `from` behind those of `to`; `from` ends up empty. */
static inline void list_splice_tail(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)

#define list_for_each(it, head, member)                                       \
	for (it = list_first(head, __typeof__(*it), member);                  \
	     &it->member != (head);                                           \
	     it = list_entry(it->member.next, __typeof__(*it), member))

/* Safe against list_del(it) in the body. */
#define list_for_each_safe(it, tmp, head, member)                             \
	for (it = list_first(head, __typeof__(*it), member),                  \
	    tmp = list_entry(it->member.next, __typeof__(*it), member);       \
	     &it->member != (head);                                           \
	     it = tmp, tmp = list_entry(tmp->member.next, __typeof__(*it), member))

#endif
