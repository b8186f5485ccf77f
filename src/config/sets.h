/*
 * Files of domains: one a line, in capitals or not, with or without a leading ".", "*." or "+." and
 * a final dot; blank lines, and what follows "#", are comments. All of it is rewritten in place, as
 * a set may have millions of lines.
 */
#ifndef SOCKEYE_CONFIG_SETS_H
#define SOCKEYE_CONFIG_SETS_H

#include "config/files.h"

/* Makes a file's text into domains in small letters, each ended by '\n', of file->n bytes in all;
 * says which lines are wrong. `at` is where the configuration names the file. */
void set_normalise(struct reading *reading, struct file *file, struct mark at);

#endif
