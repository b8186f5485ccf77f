/* What is wrong with a text before it is a tree, in words that say what to do. */
#ifndef SOCKEYE_CONFIG_SYNTAX_H
#define SOCKEYE_CONFIG_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

#include "config/report.h"

/* Checks that the bytes are UTF-8 and hold no control characters; says the first that is wrong. */
bool syntax_check_characters(struct report *report, const char *text, size_t n);

/* Says the error that made the parser stop; `text` is what it was given. */
void syntax_report(struct report *report, const yaml_parser_t *yaml, const char *text, size_t n);

#endif
