/*
 * trace.h - a net as primitive operations, in the order and under the names of torch.fx: what the counts, the
 * fusion patterns and the projections look at.
 *
 * The graph of src/net keeps a batch norm and what follows it in one node, because that is what runs; here they
 * are apart, because that is what is counted and matched.
 */
#ifndef RN_TRACE_H
#define RN_TRACE_H

#include "net/graph.h"

enum rn_op_kind {
    RN_OP_INPUT, RN_OP_RESIZE, RN_OP_CONV, RN_OP_BN, RN_OP_RELU, RN_OP_ADD, RN_OP_MAXPOOL, RN_OP_AVGPOOL,
    RN_OP_FLATTEN, RN_OP_LINEAR, RN_OP_SOFTMAX, RN_OP_KINDS
};
/* "conv2d", "batch_norm2d" ... as JSON and pattern files spell them; "Conv2d" ... as torch.fx shows them. */
const char *rn_op_kind_name(enum rn_op_kind kind);
const char *rn_op_kind_class(enum rn_op_kind kind);

struct rn_op {
    enum rn_op_kind kind;
    char name[64];       /* layer1_0_conv1, layer1_0_relu_1, add_3 */
    int node;            /* of the graph it comes from */
    int src[2];          /* operations read; -1: none */
    int readers;         /* operations that read this one */
    int fork;            /* RN_OP_ADD: the operation that both its branches begin with; else -1 */
    int C, H, W;         /* one image's output */
    struct rn_conv_shape conv; /* RN_OP_CONV, and RN_OP_LINEAR as one on 1x1 maps; of one image */
    int R, S;            /* window of a pooling */
    int64_t parameters;  /* trainable */
    int64_t buffers;     /* floats of running statistics; the counter beside them is no float */
};

struct rn_trace {
    struct rn_graph graph;
    struct rn_op *op;
    int ops;
};

/* RN_EUSAGE: settings out of range; RN_ENOMEM. */
rn_status rn_trace_build(struct rn_trace *t, const struct rn_net_config *config);
void rn_trace_free(struct rn_trace *t);
/* Takes every batch norm out, as folding does: what read it reads its convolution. */
void rn_trace_fold(struct rn_trace *t);
/* Elements of one image's output. */
int64_t rn_op_elements(const struct rn_op *op);
/* Elements of one image that it reads, all sources together. */
int64_t rn_op_inputs(const struct rn_trace *t, const struct rn_op *op);

#endif /* RN_TRACE_H */
