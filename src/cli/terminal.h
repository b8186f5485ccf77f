/*
 * A terminal for a program that draws the whole screen: keys come one by one and are not shown, what stood there before comes back at the
 * end. Escape sequences are those that every terminal of the last forty years has.
 */
#ifndef SOCKEYE_CLI_TERMINAL_H
#define SOCKEYE_CLI_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>
#include <termios.h>

struct terminal {
    bool has_keys; /* standard input is one too */
    struct termios before;
};

/* Whether standard output is a terminal that can move its cursor. */
bool terminal_is_there(void);
void terminal_begin(struct terminal *terminal);
void terminal_end(struct terminal *terminal);
/* 80 by 24 where it does not say. */
void terminal_size(unsigned *width, unsigned *height);
/* Puts these lines on the screen, from its top on, in one write. */
void terminal_draw(const char *text);

#endif
