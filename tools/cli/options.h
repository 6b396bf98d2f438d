/*
 * options.h - command lines as tables: one row a flag, shared rows for what all programs share.
 *
 * Precedence: flag, then --preset / --config file, then environment, then default.  Unknown flags, keys
 * and values are RN_EUSAGE with the nearest right one.  `--flag VALUE` and `--flag=VALUE` both work.
 * Config files: `key = value` a line, keys are the flags' names without dashes in front, # comments.
 */
#ifndef RN_CLI_OPTIONS_H
#define RN_CLI_OPTIONS_H

#include "base/base.h"
#include "io/value.h"

enum opt_type {
    OPT_SWITCH,  /* --hash; in a file: hash = true | false; --no-hash turns it off */
    OPT_INT,     /* within [min, max] */
    OPT_REAL,    /* within [min, max] */
    OPT_TEXT,
    OPT_CHOICE,  /* one of `choices`, separated by '|' */
    OPT_REALS,   /* comma-separated list of reals, e.g. --mean a,b,c */
    OPT_INTS     /* comma-separated list of integers */
};

enum opt_source { OPT_DEFAULT, OPT_ENVIRONMENT, OPT_FILE, OPT_FLAG };

struct opt {
    const char *name;        /* without the dashes */
    enum opt_type type;
    const char *fallback;    /* default as text; NULL: unset */
    double min, max;         /* OPT_INT, OPT_REAL, elements of lists */
    const char *choices;     /* OPT_CHOICE */
    const char *value_name;  /* for help: N, X, DIR, FILE ... */
    const char *help;        /* one line */
    const char *group;       /* heading in --help */
};

#define OPT_LIMIT 128
#define OPT_WORDS 256
struct opt_set {
    const char *program, *summary;  /* "train", "trains, fine-tunes, resumes a ResNet" */
    const struct opt *row[OPT_LIMIT];
    size_t rows;
    char *value[OPT_LIMIT];         /* text in force, owned; NULL: unset */
    enum opt_source source[OPT_LIMIT];
    char *positional[OPT_WORDS];    /* owned */
    int positionals, max_positionals;
};

/* The rows that several programs share: help, version, threads, backend, isa, numerics, quiet, json; and
 * the net's: arch, stem, num-classes, image-size, upsample.  The last, added after the net's, makes it one
 * for CIFAR-10 unless the user says otherwise. */
extern const struct opt opt_common[];
extern const size_t opt_common_count;
extern const struct opt opt_net[];
extern const size_t opt_net_count;
extern const struct opt opt_net_cifar[];
extern const size_t opt_net_cifar_count;

void opt_begin(struct opt_set *o, const char *program, const char *summary);
void opt_add(struct opt_set *o, const struct opt *rows, size_t count);
rn_status opt_parse(struct opt_set *o, int argc, char **argv); /* flags, files, environment, defaults */
void opt_end(struct opt_set *o);

bool opt_given(const struct opt_set *o, const char *name);      /* anything but its default */
enum opt_source opt_source_of(const struct opt_set *o, const char *name);
bool opt_switch(const struct opt_set *o, const char *name);
int64_t opt_int(const struct opt_set *o, const char *name);
double opt_real(const struct opt_set *o, const char *name);
const char *opt_text(const struct opt_set *o, const char *name); /* NULL: unset */
int opt_reals(const struct opt_set *o, const char *name, double *out, int max); /* how many */
rn_status opt_three(const struct opt_set *o, const char *name, double out[3]);  /* RN_EUSAGE: so many they are not */
/* Overrides a value after parsing (an effective value that depends on others). */
rn_status opt_set_text(struct opt_set *o, const char *name, const char *value);

/* All effective settings: as a dict of name -> value (numbers as numbers, switches as booleans, unset ones
 * left out), and as the text of args.conf (sorted as in the tables; reads back through --config). */
struct rn_value *opt_values(const struct opt_set *o);
char *opt_conf_text(const struct opt_set *o);                   /* rn_alloc'ed */

void opt_print_help(const struct opt_set *o);                   /* stdout */
void opt_print_version(const struct opt_set *o);                /* stdout */

/* What every main() does last: prints "program: message" to stderr if status is an error, and returns the
 * exit status. */
int tool_exit(const char *program, rn_status status);

/* A program that is one function of its settings: the tables of its rows, in the order in which they are
 * added, up to one without rows; how many words without dashes it takes; what it does. */
struct tool {
    const char *name, *summary;
    struct { const struct opt *rows; size_t count; } table[4];
    int positionals;
    rn_status (*run)(struct opt_set *o); /* the settings in force, its own to complete */
};
/* Its main(): reads the settings and prints what --help or --version ask for, or else runs it. */
int tool_main(const struct tool *t, int argc, char **argv);

/* Fills in the architecture and the sizes of images that the net's rows describe; the rest stays.  All but
 * upsample must have a value. */
struct rn_net_config;
rn_status tool_net(struct rn_net_config *c, const struct opt_set *o);

/* The device that --backend, --isa, --numerics, --threads ask for, after the start-up check (A40). */
struct tool_device { const struct rn_ops *ops; void *dev; int threads; };
rn_status tool_device_open(struct tool_device *d, const struct opt_set *o);
void tool_device_close(struct tool_device *d);

#endif /* RN_CLI_OPTIONS_H */
