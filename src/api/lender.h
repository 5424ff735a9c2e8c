/*
 * A listening socket that is lent: the parent alone has it, and its workers borrow a descriptor
 * for each accept(2). So it is gone in the moment in which the parent is, whatever they do.
 */
#ifndef PRESENCE_API_LENDER_H
#define PRESENCE_API_LENDER_H

/*
 * For the parent: a pidfd of it by which the children that it starts from now on may borrow. -1 where
 * they may not, which is logged: a filter of system calls can forbid it.
 */
int lender_open(int listener);

/*
 * For a child: a descriptor of the listener, which the caller closes soon; -1 with errno, ESRCH when
 * the parent is gone.
 */
int lender_borrow(int lender, int listener);

#endif
