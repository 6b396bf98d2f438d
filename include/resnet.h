/*
 * resnet.h - build, train, evaluate and store residual networks with reproducible bits.
 *
 * True of every function here:
 *   bits     equal inputs give equal bits, for any number of threads, any batch at inference, any
 *            instruction set, compiler and machine (rules: ref/ARITHMETIC.md).
 *   layout   images and logits are float32, dense, row-major NCHW; weights OIHW.
 *   order    outputs first, then inputs.
 *   errors   whatever can fail returns rn_status and leaves its outputs alone when it does; rn_error()
 *            says why.  The library never prints, exits or aborts.
 *   memory   a net plans everything when it is created and takes one block from its device; after that
 *            nothing allocates.  What a _create function made, the _free function takes back.
 *   threads  a net serves one caller at a time; separate nets are independent, also on one device.
 *
 * A training step, from images to updated weights:
 *
 *     const struct rn_ops *ops;
 *     const struct rn_device_options want = { .threads = 2 };
 *     void *dev;
 *     struct rn_net *net;
 *     struct rn_net_config config = { .image_size = 32, .batch = 128, .eval_batch = 256 };
 *
 *     rn_backend_find(&ops, "cpu", "fp32");
 *     ops->open(&dev, &want);
 *     rn_arch_named(&config.arch, "resnet18", RN_STEM_CIFAR, 10);
 *     rn_net_create(&net, &config, ops, dev);
 *     rn_net_init(net, 42);
 *
 *     rn_net_forward(net, images, 128, true);
 *     rn_net_loss(net, loss, labels, 128, 0.0);
 *     rn_net_backward(net);
 *     if (rn_net_gradients_finite(net)) {
 *         ops->sgd_update(dev, rn_net_weights(net), velocity, rn_net_gradients(net),
 *                         rn_net_trainable_count(net), &sgd);
 *         rn_net_commit_statistics(net);
 *     }
 *
 * Networks: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", arXiv:1512.03385; Xie
 * et al. (ResNeXt), arXiv:1611.05431; Zagoruyko & Komodakis (Wide ResNet), arXiv:1605.07146.  Names and
 * order of parameters are torchvision's.
 */
#ifndef RESNET_H
#define RESNET_H

#include "resnet_backend.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RN_VERSION "0.1.0"

/* The message of this thread's last failure: file, offset or field, value, limit.  "" if there was
 * none, never NULL. */
const char *rn_error(void);
const char *rn_status_text(rn_status status); /* fixed text, never NULL */

/* -- backends ---------------------------------------------------------------------------------- */

extern const struct rn_ops rn_ops_ref; /* naive loops: the specification */
extern const struct rn_ops rn_ops_cpu; /* the same bits, fast */
extern const struct rn_ops rn_ops_cpu_bf16; /* ... of the bf16 numerics */
extern const struct rn_ops rn_ops_cuda; /* the same bits on an NVIDIA GPU; only in a build with CUDA=1 */
/* The GPUs that this build has code for, as in "sm_75 sm_90"; "" without CUDA. */
const char *rn_cuda_build(void);
/* The table of the numerics `fast`, by cuDNN and cuBLAS, whose versions *libraries names; NULL and "" in a build
 * without them. */
const struct rn_ops *rn_cuda_fast(const char **libraries);

/* The table of the backend `name`: "ref", "cpu", "cuda", or the path of a shared object that exports
 * rn_backend_table (contains a '/' or ends in .so); for `numerics`, NULL or "" for the backend's first.
 * RN_EUSAGE: unknown name, or numerics that the backend does not have; RN_EFAIL: known, but not in this
 * build; RN_EINPUT: not loadable, another version, or a table with holes. */
rn_status rn_backend_find(const struct rn_ops **ops, const char *name, const char *numerics);
/* Why the backend cpu computes bf16 without the tile unit AMX, in a few words; NULL: it uses it, unless a
 * lower instruction set is asked for.  CPU, system and A33 are asked once. */
const char *rn_amx_absence(void);

/* -- architectures ----------------------------------------------------------------------------- */

#define RN_MAX_BLOCKS 64
#define RN_MAX_STAGES 4

enum rn_stem {
    RN_STEM_IMAGENET,   /* 7x7/2, 3x3/2 max-pool */
    RN_STEM_CIFAR,      /* 3x3/1 */
    RN_STEM_CIFAR_POOL, /* 3x3/1, 3x3/2 max-pool */
    RN_STEM_3X3S2,      /* 3x3/2, 3x3/2 max-pool */
    RN_STEM_DEEP        /* 3x3/2, 3x3, 3x3, 3x3/2 max-pool */
};

/* One residual block.  basic: 3x3 -> mid, 3x3 -> out.  bottleneck: 1x1 -> mid, 3x3 (groups) -> mid2,
 * 1x1 -> out.  A projection (1x1, stride) stands on the shortcut where `project` says so. */
struct rn_block { int stage, index, mid, mid2, out, stride, groups; bool project; };

/* A whole architecture, widths and all; filled by rn_arch_named or rn_arch_from_shapes. */
struct rn_arch {
    char name[32];
    enum rn_stem stem;
    int stem_width[3];        /* deep: three; otherwise only [0] */
    bool bottleneck;
    int stages, blocks, stage_blocks[RN_MAX_STAGES];
    struct rn_block block[RN_MAX_BLOCKS];
    int features, classes;    /* fc: [classes][features] */
};

/* RN_EUSAGE with the nearest right name.  classes >= 2. */
rn_status rn_arch_named(struct rn_arch *a, const char *name, enum rn_stem stem, int classes);
rn_status rn_stem_parse(enum rn_stem *stem, const char *name);
const char *rn_stem_name(enum rn_stem stem);
const char *const *rn_arch_names(size_t *count);

/* Reads the architecture off tensor shapes: `shape` says the dims of a named tensor (0 when the file
 * does not have it, else number of dims).  A 3x3 stem does not say its stride or pooling, so `stem`
 * decides there (a 7x7 is always imagenet).  RN_EINPUT names the first tensor that does not fit. */
typedef int rn_shape_fn(void *arg, const char *name, int64_t dims[8]);
rn_status rn_arch_from_shapes(struct rn_arch *a, enum rn_stem stem, rn_shape_fn *shape, void *arg);

/* -- nets -------------------------------------------------------------------------------------- */
#define RN_MOST_BATCH (1 << 24) /* images a pass may be asked for; memory ends sooner */
struct rn_net_config {
    struct rn_arch arch;
    int image_size;   /* H = W of the images given in, 32 or more (see rn_net_resize) */
    int upsample;     /* 0, or the H = W they are resized to inside the net (bilinear, A21) */
    int batch;        /* largest n of a training step; 0: an inference-only net */
    int eval_batch;   /* largest n of an evaluation pass, at least 1 */
    bool checkpoint;  /* training (batch > 0): keep the inputs of blocks only and run each block forward once more
                         in the backward pass; same bits, less memory, about a third more time */
    bool freeze_bn;   /* training: batch norms take the running statistics, which stay as they are, as in PyTorch's
                         eval mode; their gammas and betas have gradients all the same */
    const char *freeze; /* training: beginnings of names, separated by commas, of parameters that have no gradient,
                         as in PyTorch without requires_grad: the backward pass leaves out what only they need;
                         the others' bits are the same.  NULL: none; borrowed for the net's life */
    bool fold;        /* inference-only: batch norm folded into the weights (A22); changes the bits of
                         the results, not what get, hash and save give */
    /* What the caller is about to allocate besides, counted when rn_net_create asks whether there is
     * memory: arrays of rn_net_trainable_count floats (optimiser state), and other bytes (batches). */
    int beside_arrays;
    size_t beside_bytes;
};

enum rn_param_kind { RN_PARAM_CONV, RN_PARAM_GAMMA, RN_PARAM_BETA, RN_PARAM_FC_WEIGHT, RN_PARAM_FC_BIAS,
                     RN_PARAM_MEAN, RN_PARAM_VAR, RN_PARAM_BATCHES };

/* One row of the state dict, in torchvision's order. */
struct rn_param {
    char name[64];
    enum rn_param_kind kind;
    int dims;
    int64_t shape[4];
    size_t count;
    bool trainable;   /* false: a buffer (running statistics, num_batches_tracked) */
    bool frozen;      /* by rn_net_config.freeze: its gradient is not to be read */
    size_t offset;    /* floats from the start of the trainable region or of the buffer region;
                         RN_PARAM_BATCHES: number of the counter */
};

/* Whether a list as in rn_net_config.freeze, NULL for none, has the parameter. */
bool rn_frozen_by(const char *freeze, const struct rn_param *p);
/* The first beginning in such a list that none of the rows has, and its length; NULL: every one is of something. */
const char *rn_freeze_stray(size_t *length, const char *freeze, const struct rn_param *p, size_t rows);

struct rn_net;

/* Validates everything and plans all memory: after this nothing allocates.  RN_EUSAGE: a size out of
 * range or more than 2^31 values in a tensor; RN_ENOMEM, with rn_ops_cpu and rn_ops_ref before anything
 * large is allocated: the bytes needed and the bytes there.  `ops` and `dev` are borrowed. */
rn_status rn_net_create(struct rn_net **net, const struct rn_net_config *config,
                        const struct rn_ops *ops, void *dev);
void rn_net_free(struct rn_net *net);

/* Bytes the net of this config takes in its one arena on this device, without creating it. */
rn_status rn_net_arena_bytes(size_t *bytes, const struct rn_net_config *config,
                             const struct rn_ops *ops, void *dev);

const struct rn_net_config *rn_net_config_of(const struct rn_net *net);
/* Whether the device's memory is this process's own, so that pointers into it can be read: the built-in
 * backends'. */
bool rn_net_on_host(const struct rn_net *net);
/* Plans the net anew for images of another size, RN_LEAST_SIZE or more; weights, gradients, running statistics
 * and the caller's pointers to them stay.  What a pass left (logits, activations) is gone.  RN_EUSAGE where the
 * plan needs more memory than the net was created with: create it with the largest size. */
#define RN_LEAST_SIZE 8
rn_status rn_net_resize(struct rn_net *net, int image_size);
const struct rn_ops *rn_net_ops(const struct rn_net *net);
void *rn_net_dev(const struct rn_net *net);
size_t rn_net_params(const struct rn_net *net, const struct rn_param **table); /* rows */
size_t rn_net_trainable_count(const struct rn_net *net); /* floats: "parameters" of every report */
size_t rn_net_buffer_count(const struct rn_net *net);    /* floats of running statistics */
int64_t rn_net_macs(const struct rn_net *net);  /* convolution + linear, forward, one image */

/* Kaiming-normal (fan out, ReLU) convolutions, gamma 1, beta 0, torch's default for fc (uniform within
 * 1/sqrt(features)), from the counter-based generator keyed by parameter number and element. */
void rn_net_init(struct rn_net *net, uint64_t seed);

/* Device arrays, [rn_net_trainable_count] and [rn_net_buffer_count] floats. */
float *rn_net_weights(struct rn_net *net);    /* NULL in an inference-only net: it keeps them packed */
float *rn_net_gradients(struct rn_net *net);  /* likewise */
float *rn_net_buffers(struct rn_net *net);
int64_t *rn_net_batches(struct rn_net *net);  /* host: num_batches_tracked, one per batch norm */
/* One parameter or buffer, host float32 in OIHW.  RN_PARAM_BATCHES is no float: use rn_net_batches. */
void rn_net_get(struct rn_net *net, size_t param, float *host);
void rn_net_set(struct rn_net *net, size_t param, const float *host);
/* Tell the net that the arrays above were written to: evaluations pack weights anew.  rn_net_set says
 * so itself. */
void rn_net_touch(struct rn_net *net);

/* Hash of all parameters and buffers, state-dict order (A29). */
uint64_t rn_net_hash(struct rn_net *net);

/* images: host, [n][3][H][W] normalised, without subnormals and -0 (rule A5).  training: batch
 * statistics, activations kept for backward, running statistics not yet touched; 1 <= n <= batch.
 * Otherwise: running statistics; 1 <= n <= eval_batch. */
void rn_net_forward(struct rn_net *net, const float *images, int n, bool training);
/* The same of images that come as bytes: a quarter of what there is to bring to a device, where they are then moved
 * and normalised (A29).  pixels: host, [n][3][H][W], H and W those of the net's images, n is shape.N. */
struct rn_images { const uint8_t *pixels; const struct rn_image_move *move; struct rn_image_shape shape; };
void rn_net_forward_images(struct rn_net *net, const struct rn_images *images, bool training);
/* logits[n][classes] of images[n]: rn_net_forward with running statistics and rn_net_logits in one
 * call.  An image's logits are the same in any batch.  Separate nets may infer at once, each from a
 * thread of its own, on one device or on several. */
void rn_net_infer(struct rn_net *net, const float *images, int n, float *logits);
/* The labels of rn_net_loss, which is then given NULL: brought to the device ahead of a pass, that no copy stands in
 * its midst. */
void rn_net_labels(struct rn_net *net, const int32_t *labels, int n);
/* Loss of the last forward pass; host loss[n] per image, or NULL: rn_net_losses has them later, and nothing is waited
 * for.  total: divisor of the gradient (A23), 0: no gradient (evaluation). */
void rn_net_loss(struct rn_net *net, double *loss, const int32_t *labels, int total, double smoothing);
void rn_net_losses(struct rn_net *net, double *loss);
void rn_net_logits(struct rn_net *net, float *host); /* [n][classes] of the last forward pass */
/* Device, [n][classes]: what rn_net_loss left for rn_net_backward.  Times a number, all gradients are: that is
 * how a loss is scaled. */
float *rn_net_logit_gradients(struct rn_net *net);
/* Device, [n][classes]: the logits of the last training forward pass. */
const float *rn_net_training_logits(struct rn_net *net);
/* All parameter gradients of the last training forward pass + rn_net_loss. */
void rn_net_backward(struct rn_net *net);
bool rn_net_gradients_finite(struct rn_net *net);
/* Moves the running statistics by the last training forward pass; counts the batch. Call once a step,
 * after the step is known to be finite (A7). */
void rn_net_commit_statistics(struct rn_net *net);
/* The same without waiting for that knowledge: the statistics move if `given`, a verdict on the device (finite of
 * struct rn_ops), is 1; the batch is counted in any case. */
void rn_net_commit_given(struct rn_net *net, const int32_t *given);
/* After a not-finite step: runs the forward pass of the batch again and names the first layer whose
 * output, or else the parameter whose gradient, is not finite; the net owns the text.  NULL if all
 * are finite.  images: of the step, or NULL where they came as bytes. */
const char *rn_net_find_not_finite(struct rn_net *net, const float *images, int n);

/* -- files ------------------------------------------------------------------------------------- */

/* All parameters and buffers, under torchvision's names; the form is the name's ending: .pth (a state
 * dict for torch.load with weights_only=True), .safetensors or .npz.  Written whole or not at all. */
rn_status rn_net_save(struct rn_net *net, const char *path);
/* The same back, also out of whole checkpoints and what PyTorch wrote (zip, stream and tar forms); the
 * form is told by content.  Everything is checked before anything changes: RN_EINPUT lists each tensor
 * that is missing, unknown or of another shape, or names the first value that is not finite. */
rn_status rn_net_load(struct rn_net *net, const char *path);

#ifdef __cplusplus
}
#endif
#endif /* RESNET_H */
