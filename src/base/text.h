/* text.h - growing text, numbers as text and back, both independent of locale (A9, A29). */
#ifndef RN_TEXT_H
#define RN_TEXT_H

#include "base/base.h"

/* {0} is empty; failed: there was no memory, and nothing is added any more. */
struct rn_text { char *data; size_t length, capacity; bool failed; };

/* Not for %f, %e, %g: use the functions below. */
void rn_text_add(struct rn_text *t, const char *fmt, ...) RN_PRINTF(2, 3);
void rn_text_bytes(struct rn_text *t, const void *data, size_t bytes);
void rn_text_number(struct rn_text *t, double x);          /* shortest text that reads back as x */
void rn_text_fixed(struct rn_text *t, double x, int digits); /* %.*f with '.' in every locale */
void rn_text_json(struct rn_text *t, const char *utf8);    /* a quoted, escaped JSON string */
rn_status rn_text_status(const struct rn_text *t);         /* RN_ENOMEM if an append failed */
void rn_text_free(struct rn_text *t);

#define RN_NUMBER_CHARS 40
/* The fewest digits that read back as x: 0.1, 50000, 5e-05, 1e+16; inf, -inf, nan. */
const char *rn_number_text(char out[RN_NUMBER_CHARS], double x);
/* %.*f; what would not fit comes as rn_number_text. */
const char *rn_fixed_text(char out[RN_NUMBER_CHARS], double x, int digits);
/* C hex float, always with one leading digit: 0x1.8p+1, 0x0p+0, 0x1p-1074. */
const char *rn_hex_text(char out[RN_NUMBER_CHARS], double x);

/* Whole string must be a number; correctly rounded; decimal or hex float; no locale, no leading or
 * trailing space, no inf or nan, no overflow (1e999).  False otherwise. */
bool rn_parse_double(double *x, const char *s);
bool rn_parse_int(int64_t *x, const char *s);   /* decimal, optional minus */
bool rn_parse_hash(uint64_t *x, const char *s); /* 1 to 16 hex digits */

bool rn_listed(const char *list, const char *word); /* whether it is one of words separated by spaces */
/* The candidate nearest to `word` by edit distance, if near enough for a misspelling, else NULL. */
const char *rn_nearest(const char *word, const char *const *candidates, size_t count);
/* Bytes for people: printable ASCII and valid UTF-8 stay, the rest becomes \xNN; cut at `max`. */
const char *rn_printable(char *out, size_t max, const void *bytes, size_t count);

#endif /* RN_TEXT_H */
