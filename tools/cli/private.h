/* private.h - what the files of tools/cli share with each other and with nobody else. */
#ifndef RN_CLI_PRIVATE_H
#define RN_CLI_PRIVATE_H

#include "tools/cli/options.h"

/* Number of the row called name[0 ... length), or -1. */
int opt_row(const struct opt_set *o, const char *name, size_t length);

/* Checks `text` against the row and makes it the value in force, unless one from a stronger source
 * stands there.  `where` names the place for messages: "--lr", "demo.conf:3: lr", "RESNET_ISA". */
rn_status opt_assign(struct opt_set *o, int row, const char *text, enum opt_source source,
                     const char *where);

/* The row whose name `word` was probably meant to be, as " did you mean ...?", else a hint at --help. */
void opt_suggest(char *out, size_t max, const struct opt_set *o, const char *word, const char *dashes);

/* Reads a --config file, or the preset of that name, into rows that no flag has set. */
rn_status opt_read_config(struct opt_set *o, const char *path);
rn_status opt_read_preset(struct opt_set *o, const char *name);

/* Rows that steer the parser itself and are no settings: help, version, preset, config. */
bool opt_steers(const struct opt *row);

#endif /* RN_CLI_PRIVATE_H */
