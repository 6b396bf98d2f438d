/*
 * resnet_backend.h - the op table that a backend implements, and nothing else.
 *
 * A backend is one `const struct rn_ops` with every slot filled.  The library reaches a device only
 * through it, so the same training loop runs on the naive reference (ref/), the fast CPU code
 * (src/cpu/) and whatever `--backend ./libmine.so` brings: a shared object that exports
 *
 *     const struct rn_ops *rn_backend_table(void);
 *
 * True of every compute slot:
 *   order    outputs first, then inputs, then the shape, then workspace.
 *   checks   shapes were validated when the net was built; a slot cannot fail and returns nothing.
 *   memory   pointers come from `alloc` of the same table and are aligned to 64 bytes.  A slot
 *            allocates nothing.  Outputs never overlap inputs unless the contract says so.
 *   layout   activations and their gradients are tensors: `void *`, in the backend's own layout and
 *            in the element type of its numerics.  `tensor_bytes`, `tensor_set` and `tensor_get`
 *            translate from and to dense NCHW floats.  Parameters, their gradients, logits and all
 *            per-channel vectors are floats, dense everywhere (weights OIHW = [K][C/groups][R][S]).
 *   bits     a table with `exact` set gives the bits of ref/ for every input; the rule each slot
 *            follows is named (A13 ...) and stands in ref/ARITHMETIC.md.  Every float that a slot
 *            stores is F(value), rule A5; under bf16 every element of a tensor is Q(F(value)) (A32),
 *            and where a contract below says F of a tensor's element, Q follows.
 *   NaN      no slot turns NaN into a number (A7).
 *   given    NULL, or where `finite` left a verdict: unless that is 1, the slot leaves everything as it is.  So a whole
 *            step can be queued before anybody knows whether it is finite.
 *
 * Vocabulary, for the whole project: N images, C input channels, H x W input map, K output channels,
 * R x S filter, P x Q output map, stride, pad, groups.
 */
#ifndef RESNET_BACKEND_H
#define RESNET_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RN_BACKEND_VERSION 5 /* changes whenever struct rn_ops or a shape struct changes */

/* What can go wrong.  The tools turn these into exit statuses (given in brackets). */
typedef enum {
    RN_OK = 0,
    RN_EFAIL = -1,   /* the run failed: not-finite loss, no such device (1) */
    RN_EUSAGE = -2,  /* an argument, flag or combination that cannot be (2) */
    RN_EINPUT = -3,  /* something given cannot be used: missing, damaged, of another shape (3) */
    RN_EIO = -4,     /* the machine failed: cannot write, disk full (4) */
    RN_ENOMEM = -5,  /* out of memory (4) */
    RN_ECHECK = -6,  /* a check did not hold (5) */
    RN_EINTR = -7    /* stopped by a signal, state saved (130, 143) */
} rn_status;

/* One convolution, dilation 1.  P = (H + 2 pad - R) / stride + 1, Q likewise. */
struct rn_conv_shape {
    int N, C, H, W;     /* source [N][C][H][W] */
    int K, R, S;        /* weights [K][C/groups][R][S] */
    int P, Q;           /* destination [N][K][P][Q] */
    int stride, pad, groups;
};

/* y = x W^T + b: source [N][C], weights [K][C], bias [K], destination [N][K]. */
struct rn_linear_shape { int N, C, K; };

/* What follows a batch norm inside the same slot.  The composition is the specification. */
enum rn_post { RN_POST_NONE, RN_POST_RELU, RN_POST_ADD_RELU };

/* Batch norm over N, H, W for each of C channels. */
struct rn_bn_shape {
    int N, C, H, W;
    double eps, momentum;
    enum rn_post post;
};

/* Max or average pooling, square window R x S, no dilation, taps outside the image ignored by max
 * and counted as zeros by average (count_include_pad). */
struct rn_pool_shape { int N, C, H, W, R, S, P, Q, stride, pad; };

/* Bilinear resize with half-pixel centres (align_corners = false): [N][C][H][W] -> [N][C][P][Q]. */
struct rn_resize_shape { int N, C, H, W, P, Q; };

/* What is done to a picture of bytes on its way into a batch (A29): it is seen from (top, left) on, which may lie
 * outside, RN_IMAGE_FAR at most; 1: mirrored, left for right; and of the result a part is erased, none where it is
 * empty. */
#define RN_IMAGE_FAR 8192
struct rn_image_move { int32_t top, left, mirror, erase_top, erase_left, erase_height, erase_width; };

/* Pictures [N][C][H][W] of bytes, C <= 3, that become images of the same size.  What is seen beside a picture is black
 * or, where reflect is 1, the picture reflected at its outermost pixels. */
struct rn_image_shape { int N, C, H, W, reflect; float mean[3], std[3]; };

/* Softmax cross-entropy over K classes.  `total` is the divisor of the mean (the whole step's
 * image count; N unless gradients are accumulated over several parts). */
struct rn_loss_shape { int N, K, total; double smoothing; };

struct rn_sgd { double lr, momentum, weight_decay; int nesterov; const int32_t *given; };
/* step counts from 1; beta1_power = beta1^step and beta2_power likewise, running products (A10). */
struct rn_adamw { double lr, beta1, beta2, eps, weight_decay, beta1_power, beta2_power; const int32_t *given; };

/* Which form of the weights `conv2d_pack` makes. */
enum rn_pass { RN_PASS_FORWARD, RN_PASS_BACKWARD_DATA };

/* What `open` may be asked for.  threads >= 1.  isa: NULL or "" for the best this CPU has.  numerics: the
 * arithmetic of every slot, NULL or "" for the first of the table's; one that the table does not have is
 * RN_EUSAGE with the list of those it has.  What is opened may be used by several threads at once, each with
 * a net, hence memory, of its own. */
struct rn_device_options { int threads; const char *isa, *numerics; };

struct rn_ops {
    uint32_t version;      /* RN_BACKEND_VERSION of the header it was built with */
    uint32_t struct_bytes; /* sizeof(struct rn_ops) */
    const char *name;      /* "ref", "cpu", ... */
    const char *numerics;  /* those its slots compute, separated by spaces: "fp32 fp32-winograd" */
    int exact;             /* 1: bits equal ref/ on every finite input */

    /* -- device: the only slots that may fail ------------------------------------------------- */
    rn_status (*open)(void **dev, const struct rn_device_options *options);
    void (*close)(void *dev);
    const char *(*isa)(void *dev);                     /* instruction set in use, e.g. "avx512" */
    rn_status (*alloc)(void *dev, void **mem, size_t bytes); /* 64-byte aligned, zeroed */
    void (*release)(void *dev, void *mem);             /* NULL is allowed */
    void (*write)(void *dev, void *dst, const void *host, size_t bytes);
    void (*read)(void *dev, void *host, const void *src, size_t bytes);
    void (*copy)(void *dev, void *dst, const void *src, size_t bytes); /* within the device */
    void (*sync)(void *dev);                           /* returns when all earlier calls are done */
    /* Calls pass(arg) in the calling thread.  What is called from it through this table finds the
     * device's workers at hand instead of waking them each time.  Within a pass it only calls. */
    void (*run)(void *dev, void (*pass)(void *arg), void *arg);
    size_t (*tensor_bytes)(void *dev, int N, int C, int H, int W);
    void (*tensor_set)(void *dev, void *dst, const float *nchw, int N, int C, int H, int W);
    void (*tensor_get)(void *dev, float *nchw, const void *src, int N, int C, int H, int W);
    /* src, move[N]: device.  x = F(((float)u / 255 - mean) / std) of the bytes as moved, 0 where erased (A29). */
    void (*images_forward)(void *dev, void *dst, const uint8_t *src, const struct rn_image_move *move,
                           const struct rn_image_shape *s);

    /* -- convolution (A13, A14, A15) ---------------------------------------------------------- */
    /* Workspace of the three passes, the larger of all; no pass needs more when N is smaller. */
    size_t (*conv2d_workspace)(void *dev, const struct rn_conv_shape *s);
    /* Weights in the form a pass wants them.  Packing depends on the weights only, never on N. */
    size_t (*conv2d_packed_bytes)(void *dev, const struct rn_conv_shape *s, enum rn_pass pass);
    void (*conv2d_pack)(void *dev, void *packed, const float *weights, const struct rn_conv_shape *s,
                        enum rn_pass pass);
    /* The weights back out of what conv2d_pack made for the forward pass; returns 1.  Returns 0 and writes
     * nothing where the packed form does not hold them to the bit.  weights NULL: only the answer. */
    int (*conv2d_unpack)(void *dev, float *weights, const void *packed, const struct rn_conv_shape *s);
    /* dst = F(conv(src, w)) or, with bias[K] not NULL, F(conv + bias). */
    void (*conv2d_forward)(void *dev, void *dst, const void *src, const void *packed,
                           const float *bias, const struct rn_conv_shape *s, void *workspace);
    /* The layer of a folded net (A22): y = F(conv + bias); with RN_POST_ADD_RELU y = F(y + add); then ReLU
     * where post has one. */
    void (*conv2d_bias)(void *dev, void *dst, const void *src, const void *packed, const float *bias,
                        const void *add, enum rn_post post, const struct rn_conv_shape *s,
                        void *workspace);
    /* dsrc = F(gradient); with add not NULL, dsrc = F(F(gradient) + add), add shaped like dsrc and
     * allowed to be dsrc itself. */
    void (*conv2d_backward_data)(void *dev, void *dsrc, const void *ddst, const void *packed,
                                 const void *add, const struct rn_conv_shape *s, void *workspace);
    /* dweights (and dbias, if not NULL) are overwritten. */
    void (*conv2d_backward_weights)(void *dev, float *dweights, float *dbias, const void *src,
                                    const void *ddst, const struct rn_conv_shape *s,
                                    void *workspace);

    /* -- linear (A16): src is a tensor of 1x1 maps, dst dense floats [N][K] ---------------------- */
    size_t (*linear_workspace)(void *dev, const struct rn_linear_shape *s);
    /* packed: what conv2d_pack makes of the weights as those of a 1x1 convolution on 1x1 maps. */
    void (*linear_forward)(void *dev, float *dst, const void *src, const void *packed,
                           const float *bias, const struct rn_linear_shape *s, void *workspace);
    void (*linear_backward_data)(void *dev, void *dsrc, const float *ddst, const float *weights,
                                 const struct rn_linear_shape *s, void *workspace);
    void (*linear_backward_weights)(void *dev, float *dweights, float *dbias, const void *src,
                                    const float *ddst, const struct rn_linear_shape *s,
                                    void *workspace);

    /* -- batch norm (A17), alone or followed by ReLU or add + ReLU (A18, A22) ------------------- */
    size_t (*batchnorm_workspace)(void *dev, const struct rn_bn_shape *s);
    /* With batch statistics.  saved[2*C]: mean then biased variance, in double, for the backward
     * pass and for batchnorm_running.  add: the addend of RN_POST_ADD_RELU, else NULL. */
    void (*batchnorm_forward_train)(void *dev, void *dst, double *saved, const void *src,
                                    const void *add, const float *gamma, const float *beta,
                                    const struct rn_bn_shape *s, void *workspace);
    /* With running statistics.  dst may be src. */
    void (*batchnorm_forward_eval)(void *dev, void *dst, const void *src, const void *add,
                                   const float *gamma, const float *beta, const float *running_mean,
                                   const float *running_var, const struct rn_bn_shape *s);
    /* dst of batchnorm_forward_train again, from its src and `saved`. */
    void (*batchnorm_apply)(void *dev, void *dst, const void *src, const void *add,
                            const double *saved, const float *gamma, const float *beta,
                            const struct rn_bn_shape *s);
    /* running <- (1 - momentum) running + momentum batch, from `saved`; the caller counts batches. */
    void (*batchnorm_running)(void *dev, float *running_mean, float *running_var, const double *saved,
                              const struct rn_bn_shape *s, const int32_t *given);
    /* Gradient of batchnorm_forward_train.  dst: its output, read for the ReLU mask when post is
     * RN_POST_ADD_RELU; else NULL, and the mask of RN_POST_RELU is recomputed from src (A18).  dsrc may
     * be ddst.  dadd: gradient of the addend (= masked ddst), written when post is RN_POST_ADD_RELU,
     * else NULL; it may be ddst, but not together with dsrc. */
    void (*batchnorm_backward)(void *dev, void *dsrc, void *dadd, float *dgamma, float *dbeta,
                               const void *ddst, const void *dst, const void *src,
                               const double *saved, const float *gamma, const float *beta,
                               const struct rn_bn_shape *s, void *workspace);
    /* The same for frozen (running) statistics; dst is read for every mask. */
    void (*batchnorm_backward_eval)(void *dev, void *dsrc, void *dadd, float *dgamma, float *dbeta,
                                    const void *ddst, const void *dst, const void *src,
                                    const float *running_mean, const float *running_var,
                                    const float *gamma, const struct rn_bn_shape *s,
                                    void *workspace);
    /* Convolution, batch norm with running statistics, and what post says, in one call (A22).
     * Bits of conv2d_forward followed by batchnorm_forward_eval; bn->N,C,H,W are s->N,K,P,Q. */
    void (*conv2d_bn)(void *dev, void *dst, const void *src, const void *packed, const void *add,
                      const float *gamma, const float *beta, const float *running_mean,
                      const float *running_var, const struct rn_conv_shape *s,
                      const struct rn_bn_shape *bn, void *workspace);

    /* The same with batch statistics: x = conv2d_forward(src), then dst and saved are those of
     * batchnorm_forward_train(x).  The workspace holds conv2d_workspace + batchnorm_workspace bytes. */
    void (*conv2d_bn_train)(void *dev, void *dst, void *x, double *saved, const void *src,
                            const void *packed, const void *add, const float *gamma,
                            const float *beta, const struct rn_conv_shape *s,
                            const struct rn_bn_shape *bn, void *workspace);
    /* Batch norm with running statistics folded into the weights before it (A22): folded[K][C/groups][R][S]
     * and bias[K].  folded may be weights. */
    void (*conv2d_fold)(void *dev, float *folded, float *bias, const float *weights, const float *gamma,
                        const float *beta, const float *running_mean, const float *running_var,
                        const struct rn_conv_shape *s, const struct rn_bn_shape *bn);

    /* -- elementwise (A18); tensors of count elements; dst may be any of the inputs ------------- */
    void (*relu_forward)(void *dev, void *dst, const void *src, size_t count);
    void (*relu_backward)(void *dev, void *dsrc, const void *ddst, const void *dst, size_t count);
    void (*add)(void *dev, void *dst, const void *a, const void *b, size_t count);
    /* *all, device: 1 if no element is Inf or NaN, else 0 (A7). */
    void (*tensor_finite)(void *dev, int32_t *all, const void *src, size_t count);

    /* -- pooling (A19, A20) ------------------------------------------------------------------- */
    /* index[N*P*Q*C], in the layout of dst: which tap (r*S + s) was taken; R*S <= 255. */
    void (*maxpool_forward)(void *dev, void *dst, uint8_t *index, const void *src,
                            const struct rn_pool_shape *s);
    void (*maxpool_backward)(void *dev, void *dsrc, const void *ddst, const uint8_t *index,
                             const struct rn_pool_shape *s);
    void (*avgpool_forward)(void *dev, void *dst, const void *src, const struct rn_pool_shape *s);
    void (*avgpool_backward)(void *dev, void *dsrc, const void *ddst,
                             const struct rn_pool_shape *s);
    /* dst [N][C][1][1]: mean over the map; only N, C, H, W of the shape are read. */
    void (*global_avgpool_forward)(void *dev, void *dst, const void *src,
                                   const struct rn_pool_shape *s);
    void (*global_avgpool_backward)(void *dev, void *dsrc, const void *ddst,
                                    const struct rn_pool_shape *s);

    /* -- bilinear resize (A21) ------------------------------------------------------------------ */
    void (*resize_forward)(void *dev, void *dst, const void *src, const struct rn_resize_shape *s);
    void (*resize_backward)(void *dev, void *dsrc, const void *ddst,
                            const struct rn_resize_shape *s);

    /* -- loss (A23): loss[N] a double per image; dlogits may be NULL (evaluation) ---------------- */
    void (*softmax_cross_entropy)(void *dev, double *loss, float *dlogits, const float *logits,
                                  const int32_t *labels, const struct rn_loss_shape *s);

    /* -- parameters: flat arrays of count floats ------------------------------------------------ */
    void (*accumulate)(void *dev, float *dst, const float *src, size_t count); /* F(dst+src), A25 */
    /* As tensor_finite, but 0 in any case where the verdict `given`, which is not all's, is not 1. */
    void (*finite)(void *dev, int32_t *all, const float *src, size_t count, const int32_t *given);
    void (*sgd_update)(void *dev, float *weights, float *velocity, const float *gradient,
                       size_t count, const struct rn_sgd *hp);                            /* A26 */
    void (*adamw_update)(void *dev, float *weights, float *first, float *second,
                         const float *gradient, size_t count, const struct rn_adamw *hp); /* A27 */
};

/* The symbol a plug-in exports. */
typedef const struct rn_ops *rn_backend_table_fn(void);

#ifdef __cplusplus
}
#endif
#endif /* RESNET_BACKEND_H */
