/*
 * graph.h - a net unfolded: a list of nodes in execution order and the rows of its state dict.
 * Internal to src/net and src/analyze.
 */
#ifndef RN_GRAPH_H
#define RN_GRAPH_H

#include "net/net.h"

enum rn_node_kind {
    RN_NODE_INPUT,   /* the images */
    RN_NODE_RESIZE,  /* bilinear, no gradient: it stands before the first parameter */
    RN_NODE_CONV,
    RN_NODE_BN,      /* with what follows it: nothing, ReLU, or add + ReLU */
    RN_NODE_MAXPOOL,
    RN_NODE_AVGPOOL, /* global */
    RN_NODE_LINEAR
};

struct rn_node {
    enum rn_node_kind kind;
    char name[48];      /* torchvision's module name: layer1.0.conv1 */
    int src, add;       /* nodes read; add: the residual of a BN with RN_POST_ADD_RELU; -1: none */
    int last_consumer;  /* the last node that reads this one; -1: the logits */
    int C, H, W;        /* one image's output */
    int param;          /* its first row in the state dict; -1: none */
    int batchnorm;      /* RN_NODE_BN: its number, counts from 0 */
    union {
        struct rn_conv_shape conv;   /* N = 0 in all: set when run */
        struct rn_bn_shape bn;
        struct rn_pool_shape pool;
        struct rn_resize_shape resize;
        struct rn_linear_shape linear;
    } u;
};

struct rn_graph {
    struct rn_node *node;
    int nodes, node_capacity;
    struct rn_param *param;
    int params, param_capacity;
    size_t trainable, buffers; /* floats */
    int batchnorms;
    int64_t macs;              /* convolution + linear, forward, one image */
};

/* RN_EUSAGE: settings out of range; RN_ENOMEM. */
rn_status rn_graph_build(struct rn_graph *g, const struct rn_net_config *config);
/* RN_EUSAGE where n images' tensors have more elements than the int holds that backends index with. */
rn_status rn_graph_check(const struct rn_graph *g, int n);
/* The convolution, of N images, that a node with weights is; a linear layer is one on 1x1 maps (A16).  C
 * is 0 for nodes of other kinds. */
struct rn_conv_shape rn_node_conv(const struct rn_node *node, int N);
size_t rn_graph_largest(const struct rn_graph *g); /* elements of the largest tensor of one image */
/* Bytes that a training step of the config needs at the very least, whatever the backend, with so many an
 * element of its tensors. */
size_t rn_graph_least_bytes(const struct rn_graph *g, const struct rn_net_config *config, size_t element);
void rn_graph_free(struct rn_graph *g);

#endif /* RN_GRAPH_H */
