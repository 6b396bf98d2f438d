/*
 * case.h - one call of one slot as data: which slot, which geometry, which variant; its operands by
 * name, on the host in dense NCHW; and the one function that carries it out on any op table.
 * Golden packs, verdicts and gradient checks are all made of these.
 */
#ifndef RN_CASE_H
#define RN_CASE_H

#include "conform/slots.h"
#include "io/value.h"

/* What a call does beyond the plain form, or what values it is fed; any sum of these. */
enum rn_variant {
    RN_V_BIAS = 1 << 0,         /* the optional bias is there */
    RN_V_ADD = 1 << 1,          /* the optional addend of conv2d_backward_data is there */
    RN_V_IN_PLACE = 1 << 2,     /* the output stands in the input's memory, where allowed */
    RN_V_IN_PLACE_ADD = 1 << 3, /* batch norm: dadd stands in ddst's memory */
    RN_V_RELU = 1 << 4,         /* RN_POST_RELU */
    RN_V_ADD_RELU = 1 << 5,     /* RN_POST_ADD_RELU */
    RN_V_SMOOTH = 1 << 6,       /* label smoothing 0.1 */
    RN_V_PART = 1 << 7,         /* the loss divides by more images than there are here */
    RN_V_NESTEROV = 1 << 8,
    RN_V_TINY = 1 << 9,         /* values near 2^-64: products are subnormal, stores give +0 (A5) */
    RN_V_TIES = 1 << 10,        /* small integers: equal values meet, all sums are exact */
    RN_V_NAN = 1 << 11,         /* a NaN among the inputs (A7) */
    RN_V_NORMAL = 1 << 12,      /* gradient checks: normally distributed, no zeros */
    RN_V_SMALL = 1 << 13,       /* values near 2^-56, and such whose products are: Q gives +0 (A30) */
    RN_V_REFLECT = 1 << 14,     /* pictures are reflected at their edges */
    RN_V_GIVEN = 1 << 15,       /* a verdict is given, and it is 1 */
    RN_V_HELD = 1 << 16         /* a verdict is given that is not 1: nothing changes */
};
#define RN_VARIANT_CHARS 128
/* "bias+in_place"; "plain" for 0. */
void rn_variant_text(char out[RN_VARIANT_CHARS], unsigned variant);

struct rn_case { enum rn_slot slot; const char *geometry; unsigned variant; };

/* The golden cases: every compute slot, forward and backward. */
const struct rn_case *rn_cases(size_t *count);

/* What is fixed for a slot. */
const char *rn_case_op(enum rn_slot slot);        /* "conv2d", "bn", ... */
const char *rn_case_direction(enum rn_slot slot); /* "forward", "backward_weights", ... */

/* One argument that is an array.  Labels and moves of pictures are RN_I32, pooling taps and pixels RN_U8, saved
 * statistics and losses RN_F64, all else RN_F32. */
struct rn_operand {
    const char *name;    /* as in the slot's declaration; "..._after" for what an update leaves */
    enum rn_dtype dtype;
    bool map;            /* on the device in the backend's own layout */
    bool output;
    int over;            /* output in the memory of this operand, or -1 */
    int64_t shape[4];
    int dims;
    size_t count;
    void *host;          /* dense NCHW, host byte order */
};

#define RN_MAX_OPERANDS 16
struct rn_call {
    const struct rn_case *c;
    struct rn_conv_shape g;  /* geometry; P, Q of resize are its output size */
    struct rn_operand item[RN_MAX_OPERANDS];
    int count;
};

/* Names, shapes and zeroed host memory of all operands.  RN_EUSAGE: a geometry that cannot be. */
rn_status rn_call_open(struct rn_call *call, const struct rn_case *c);
void rn_call_close(struct rn_call *call);
/* NULL when the call has none of that name. */
struct rn_operand *rn_call_operand(struct rn_call *call, const char *name);

/* Fills all inputs: from the counter-based generator, keyed by the case and `draw`; those of a
 * backward pass that a forward pass reads or makes (dst, saved, index) come from that pass, done
 * on `ops`. */
rn_status rn_call_inputs(struct rn_call *call, const struct rn_ops *ops, void *dev, uint32_t draw);
/* The forward call whose operands the backward call shares; false when there is none. */
bool rn_case_forward(struct rn_case *forward, const struct rn_case *c);
/* Copies every input of `call` that `from` has under the same name; tells how many. */
int rn_call_share(struct rn_call *call, const struct rn_call *from);
/* Random values for the inputs, all of them. */
void rn_call_fill(struct rn_call *call, uint32_t draw);

/* Whether a numerics keeps tensors in bf16 (A32). */
bool rn_numerics_bf16(const char *numerics);
/* One of the backend cuda's three `fast` ones; and whether tensors are of 16 bits. */
bool rn_numerics_fast(const char *numerics);
bool rn_numerics_narrow(const char *numerics);
/* Whether the call's convolution is one that `numerics` gives to Winograd's algorithm (A34). */
bool rn_call_winograd(const struct rn_call *call, const char *numerics);
const char *rn_call_rule(const struct rn_call *call, const char *numerics); /* "A13" */
/* Largest distance, relative to the root mean square of what is wanted, that a table without
 * `exact` may show; 0 where the op makes at most one rounding.  Tables with `exact` must give
 * equal bits. */
double rn_call_bound(const struct rn_call *call, const char *numerics);

/* Bytes of an operand on the device. */
size_t rn_operand_bytes(const struct rn_operand *o, const struct rn_ops *ops, void *dev);
/* Pooling taps, dense on the host, to and from device memory in the backend's layout. */
rn_status rn_taps_upload(const struct rn_operand *o, void *memory, const struct rn_ops *ops, void *dev);
rn_status rn_taps_download(struct rn_operand *o, const void *memory, const struct rn_ops *ops, void *dev);

/* Uploads inputs, poisons outputs with NaN, calls the slot, downloads outputs. */
rn_status rn_call_run(struct rn_call *call, const struct rn_ops *ops, void *dev);

/* Hyper-parameters of all cases. */
struct rn_bn_shape rn_call_bn(const struct rn_call *call);
struct rn_pool_shape rn_call_pool(const struct rn_call *call);
struct rn_linear_shape rn_call_linear(const struct rn_call *call);
struct rn_resize_shape rn_call_resize(const struct rn_call *call);
struct rn_loss_shape rn_call_loss(const struct rn_call *call);
struct rn_image_shape rn_call_images(const struct rn_call *call);
extern const struct rn_adamw rn_case_adamw;
struct rn_sgd rn_case_sgd(unsigned variant);

#endif /* RN_CASE_H */
