/*
 * conform.h - judges an op table: gradients against slopes measured in double, and results against
 * golden packs written from the reference.  Findings go to a sink, one row each; what a row says
 * for people is formatted by rn_finding_text.
 */
#ifndef RN_CONFORM_H
#define RN_CONFORM_H

#include "base/base.h"
#include "base/text.h"

struct rn_finding {
    const char *op;       /* "conv2d" */
    const char *part;     /* tensor ("dw") of a gradient check, direction ("forward") of a case */
    const char *geometry; /* "n2c3h7w5k4r3s3u2a1g1" */
    const char *variant;  /* "bias+relu"; "plain" */
    const char *verdict;  /* "ok", "FAIL"; "same", "legal", "wrong" */
    double error, limit;  /* largest relative error, and what is allowed */
    const char *detail;   /* of a failure: tensor, index, both values; else "" */
};
typedef void rn_finding_sink(void *arg, const struct rn_finding *finding);

/* One line, no newline: "conv2d dw n2c3...  max rel err 3.1e-07  ok". */
void rn_finding_text(struct rn_text *t, const struct rn_finding *finding);

/* `numerics` is always the one that dev was opened with ("fp32"). */

/* All gradient checks; RN_ECHECK names the first that failed. */
rn_status rn_gradcheck(const struct rn_ops *ops, void *dev, const char *numerics,
                       rn_finding_sink *sink, void *arg);

/* Writes a golden pack of one numerics from rn_ops_ref into a folder, made if it is not there. */
rn_status rn_golden_write(const char *folder, const char *numerics);
/* Judges a table by a pack.  RN_ECHECK: a file of the pack was changed, or a verdict is "wrong";
 * the message names the first op, tensor and index.  RN_EINPUT: not a golden pack of this
 * version and numerics. */
rn_status rn_golden_check(const char *folder, const struct rn_ops *ops, void *dev,
                          const char *numerics, rn_finding_sink *sink, void *arg);

/* -- for the files of this folder -------------------------------------------------------------- */

/* Counts rows and keeps the first failure. */
struct rn_verdicts {
    rn_finding_sink *sink;
    void *arg;
    int rows, failures;
    char first[320];
};
void rn_verdict(struct rn_verdicts *v, const struct rn_finding *finding, bool failed);

/* max |got - want| / rms(want), and where; the plain maximum where want is all zero; NaN stays
 * NaN. */
double rn_relative_error(size_t *worst, const double *got, const double *want, size_t count);
#define RN_DETAIL_CHARS 240
void rn_detail(char out[RN_DETAIL_CHARS], size_t index, double got, double want);
struct rn_case;
struct rn_call;
struct rn_operand;
/* One row: whether two operands of a call have equal bits (gradcheck_fused.c). */
void rn_check_same(struct rn_verdicts *v, const struct rn_case *c, const char *part,
                   const struct rn_operand *got, const struct rn_operand *want);
/* One row for each output of a fused slot that was run: the slots it joins, called one by one, give
 * the same bits.  No row for other slots. */
rn_status rn_check_composition(struct rn_verdicts *v, struct rn_call *fused,
                               const struct rn_ops *ops, void *dev);
/* The small net as a whole (gradcheck_net.c). */
rn_status rn_gradcheck_net(struct rn_verdicts *v, const struct rn_ops *ops, void *dev,
                           const char *numerics);

#endif /* RN_CONFORM_H */
