/*
 * patterns.h - chains of operations that can run as one, found in a net.
 *
 * A pattern is a list of kinds.  It matches a chain in which each operation after the first reads the one before
 * and nothing else does, so what lies between them never needs to reach memory; an addition may be entered by
 * either of its branches, the other one stays an input.
 */
#ifndef RN_PATTERNS_H
#define RN_PATTERNS_H

#include "analyze/trace.h"

#define RN_PATTERN_LENGTH 8
struct rn_pattern {
    char name[48];
    uint32_t kinds[RN_PATTERN_LENGTH]; /* sets of 1 << enum rn_op_kind */
    int length;
    int line;                          /* of its file; 0: built in */
};

struct rn_patterns { struct rn_pattern *row; int rows, capacity; };

/* Those that the executor fuses, longest first; with `folded`, those of a net whose batch norms are folded. */
const struct rn_pattern *rn_patterns_fused(bool folded, int *count);
/* More that could be: the stem with its pooling, the head. */
const struct rn_pattern *rn_patterns_candidates(int *count);

/* Reads `name = kind kind ...` lines; kinds are those of rn_op_kind_name, alternatives stand with a | between,
 * # begins a comment.  RN_EINPUT: file, line and column of what is wrong.  rn_patterns_free in any case. */
rn_status rn_patterns_read(struct rn_patterns *p, const char *path);
rn_status rn_patterns_parse(struct rn_patterns *p, const char *text, size_t length, const char *path);
void rn_patterns_free(struct rn_patterns *p);

/* A chain that was found.  saved: bytes that one image's tensors between its operations would be written and read
 * with, at 4 a value; those that another fusion has saved already are left out, see rn_match. */
struct rn_match {
    int pattern;
    int op[RN_PATTERN_LENGTH], length;
    int64_t saved;
};
struct rn_matches { struct rn_match *row; int rows; };

/* Goes through the operations in order; at each, the first pattern that fits takes its chain, and no operation is
 * in two.  beyond: what is fused anyway; tensors inside one of those are not counted as saved once more; or NULL.
 * RN_ENOMEM. */
rn_status rn_match(struct rn_matches *m, const struct rn_trace *t, const struct rn_pattern *pattern, int patterns,
                   const struct rn_matches *beyond);
void rn_matches_free(struct rn_matches *m);
/* How many matches there are of a pattern, and what they save. */
int rn_matches_of(const struct rn_matches *m, int pattern, int64_t *saved);

#endif /* RN_PATTERNS_H */
