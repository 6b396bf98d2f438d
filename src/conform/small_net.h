/*
 * small_net.h - a residual net of 17 layers, small enough for naive loops and complete enough to
 * hold every kind of seam of a big one: stem, max-pooling, an identity block, a projected
 * bottleneck with groups, global average pooling, fc, loss with label smoothing, SGD.  It stands
 * directly on the slots of an op table and knows nothing of src/net, so that a fault in one does
 * not hide in the other.
 *
 *     image 4x3x11x13 - conv1 3x3, bn, relu - max-pool 3x3/2
 *     - block1 (3x3, 3x3; identity; wide enough for fp32-winograd)
 *     - block2 (1x1, 3x3/2 in two groups, 1x1; projection 1x1/2) - average - fc 5 - loss
 */
#ifndef RN_SMALL_NET_H
#define RN_SMALL_NET_H

#include "base/base.h"
#include "io/value.h"

#define RN_SMALL_TENSORS 18 /* tensor 0 is the image; layer i makes tensor i */
#define RN_SMALL_PARAMS 23
#define RN_SMALL_BUFFERS 14
#define RN_SMALL_N 4
#define RN_SMALL_CLASSES 5
#define RN_SMALL_SMOOTHING 0.1

enum rn_small_kind { RN_SMALL_IMAGE, RN_SMALL_CONV, RN_SMALL_BN, RN_SMALL_MAXPOOL, RN_SMALL_AVERAGE,
                     RN_SMALL_LINEAR };

struct rn_small_layer {
    const char *name;
    enum rn_small_kind kind;
    int src, add;           /* tensors read; add of RN_POST_ADD_RELU, else -1 */
    enum rn_post post;
    int K, R, stride, pad, groups;
    int C, H, W;            /* of the tensor it makes; from here on filled by rn_small_plan */
    int param;              /* its first parameter: weight (bias), or gamma, beta; else -1 */
    int buffer;             /* batch norm: running mean, then variance; else -1 */
};

struct rn_small_param {
    char name[32];
    int dims;
    int64_t shape[4];
    size_t count;
};

struct rn_small_plan {
    struct rn_small_layer layer[RN_SMALL_TENSORS];
    struct rn_small_param param[RN_SMALL_PARAMS], buffer[RN_SMALL_BUFFERS];
};
void rn_small_plan(struct rn_small_plan *plan);
size_t rn_small_count(const struct rn_small_layer *layer); /* elements of its tensor */

/* Shapes for the slots; `layer` is the layer's number. */
struct rn_conv_shape rn_small_conv(const struct rn_small_plan *plan, int layer);
struct rn_bn_shape rn_small_bn(const struct rn_small_plan *plan, int layer);
struct rn_pool_shape rn_small_pool(const struct rn_small_plan *plan, int layer);
struct rn_linear_shape rn_small_linear(const struct rn_small_plan *plan, int layer);
struct rn_loss_shape rn_small_loss(void);

/* Starting parameters (host, one array each as in plan->param) and images and labels of one
 * step; a pure function of `draw`.  images [4][3][11][13], labels [4]. */
void rn_small_start(const struct rn_small_plan *plan, float *const param[RN_SMALL_PARAMS],
                    uint32_t draw);
void rn_small_batch(float *images, int32_t *labels, uint32_t draw);

/* The net on a device.  Zeroed is empty; rn_small_close takes half-open ones. */
struct rn_small {
    struct rn_small_plan plan;
    const struct rn_ops *ops;
    void *dev;
    void *tensor[RN_SMALL_TENSORS], *gradient[RN_SMALL_TENSORS], *spare; /* the last: floats */
    bool reached[RN_SMALL_TENSORS];   /* backward: the gradient already holds one consumer's part */
    double *saved[RN_SMALL_TENSORS];
    uint8_t *index;
    float *weights[RN_SMALL_PARAMS], *dweights[RN_SMALL_PARAMS], *velocity[RN_SMALL_PARAMS];
    float *buffer[RN_SMALL_BUFFERS];
    double *loss;
    int32_t *labels;
    void *packed, *workspace;
};
rn_status rn_small_open(struct rn_small *net, const struct rn_ops *ops, void *dev);
void rn_small_close(struct rn_small *net);
void rn_small_set(struct rn_small *net, int param, const float *host);

/* Forward with batch statistics, loss and all gradients, that of the image included. */
void rn_small_gradients(struct rn_small *net, const float *images, const int32_t *labels);
extern const struct rn_sgd rn_small_sgd;
/* Running statistics and one step of SGD by rn_small_sgd. */
void rn_small_update(struct rn_small *net);

#endif /* RN_SMALL_NET_H */
