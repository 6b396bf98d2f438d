/*
 * cases.c - the golden cases.  Every compute slot stands here, forward and backward, with the
 * shapes where implementations go wrong: odd sizes, strides that leave pixels out, padding wider
 * than needed, one channel, groups and depthwise, maps on both sides of the group sizes of A11, a
 * short last group, one image; and with the values where arithmetic goes wrong: zeros, subnormal
 * results, what Q makes +0, ties, NaN.
 *
 * A case keeps its meaning for ever: change none, add more.
 */
#include "conform/case.h"

#define CONV(geometry) \
    { RN_SLOT_conv2d_forward, geometry, 0 }, { RN_SLOT_conv2d_backward_data, geometry, 0 }, \
    { RN_SLOT_conv2d_backward_weights, geometry, RN_V_BIAS }
/* Shapes in and beside the table of A34; under `fp32` they are further shapes. */
#define WINOGRAD(geometry) CONV(geometry), { RN_SLOT_conv2d_unpack, geometry, 0 }
#define BN_TRAIN(geometry, variant) \
    { RN_SLOT_batchnorm_forward_train, geometry, variant }, \
    { RN_SLOT_batchnorm_backward, geometry, variant }
#define BN_EVAL(geometry, variant) \
    { RN_SLOT_batchnorm_forward_eval, geometry, variant }, \
    { RN_SLOT_batchnorm_backward_eval, geometry, variant }
#define PAIR(op, geometry) \
    { RN_SLOT_##op##_forward, geometry, 0 }, { RN_SLOT_##op##_backward, geometry, 0 }
#define LINEAR(geometry) \
    { RN_SLOT_linear_forward, geometry, 0 }, { RN_SLOT_linear_backward_data, geometry, 0 }, \
    { RN_SLOT_linear_backward_weights, geometry, 0 }

static const struct rn_case cases[] = {
    { RN_SLOT_tensor_set, "n2c3h5w7", 0 },
    { RN_SLOT_tensor_get, "n1c17h3w2", 0 },

    CONV("n1c1h4w4k1r3s3u1a1g1"), /* one channel, all taps at a border */
    CONV("n2c3h8w8k8r3s3u1a1g1"), /* groups of two images (A11) */
    CONV("n3c4h9w7k6r3s3u2a1g1"), /* odd map, stride 2, odd batch */
    CONV("n2c3h13w11k4r7s7u2a3g1"), /* the ImageNet stem */
    CONV("n2c8h7w7k12r1s1u2a0g1"), /* projection: pixels that no window sees */
    CONV("n9c6h4w4k4r1s1u1a0g1"), /* groups of eight and a short last one */
    CONV("n2c8h6w5k12r3s3u2a1g4"), /* groups of channels */
    CONV("n1c6h5w6k6r3s3u1a1g6"), /* depthwise */
    CONV("n2c3h7w5k4r3s3u3a2g1"), /* stride 3, wide padding */
    CONV("n1c5h9w10k3r5s5u1a2g1"),
    CONV("n5c2h2w2k18r2s1u1a0g1"), /* filter not square, more outputs than a register tile */
    CONV("n1c2h12w12k3r3s3u1a1g1"), /* a map of more than 128 positions */
    { RN_SLOT_conv2d_pack, "n3c5h6w6k7r3s3u1a1g1", 0 },
    { RN_SLOT_conv2d_unpack, "n2c5h6w6k7r3s3u1a1g1", 0 },
    { RN_SLOT_conv2d_unpack, "n1c6h5w5k8r1s1u2a0g2", 0 },
    { RN_SLOT_conv2d_forward, "n2c3h7w5k4r3s3u2a1g1", RN_V_BIAS },
    { RN_SLOT_conv2d_forward, "n2c4h5w5k4r3s3u1a1g1", RN_V_TINY },
    { RN_SLOT_conv2d_forward, "n2c4h5w5k4r3s3u1a1g1", RN_V_TIES },
    { RN_SLOT_conv2d_backward_data, "n2c8h7w7k12r1s1u2a0g1", RN_V_ADD },
    { RN_SLOT_conv2d_backward_data, "n2c4h6w7k5r3s3u2a1g1", RN_V_ADD | RN_V_IN_PLACE },
    { RN_SLOT_conv2d_backward_data, "n2c4h5w5k4r3s3u1a1g1", RN_V_TINY },
    { RN_SLOT_conv2d_backward_weights, "n2c4h5w5k4r3s3u1a1g1", RN_V_TINY },
    { RN_SLOT_conv2d_backward_weights, "n17c2h3w3k3r3s3u1a1g1", 0 }, /* no dbias; three groups */

    LINEAR("n4c5h1w1k3"),
    LINEAR("n19c33h1w1k10"), /* three groups of eight */
    { RN_SLOT_linear_forward, "n2c64h1w1k17", RN_V_TINY },

    { RN_SLOT_conv2d_bias, "n2c3h7w6k5r3s3u1a1g1", 0 },
    { RN_SLOT_conv2d_bias, "n2c4h7w7k6r3s3u2a1g2", RN_V_RELU },
    { RN_SLOT_conv2d_bias, "n1c8h4w4k20r1s1u1a0g1", RN_V_ADD_RELU },
    { RN_SLOT_conv2d_bias, "n2c4h5w5k4r3s3u1a1g1", RN_V_ADD_RELU | RN_V_TINY },
    { RN_SLOT_conv2d_bias, "n2c4h5w5k4r3s3u1a1g1", RN_V_ADD_RELU | RN_V_TIES },

    WINOGRAD("n2c16h8w8k16r3s3u1a1g1"), /* whole tiles of A34 */
    WINOGRAD("n9c16h7w6k32r3s3u1a1g1"), /* ragged tiles, two leaves of A36 */
    WINOGRAD("n1c32h4w4k16r3s3u1a1g1"), /* one tile */
    WINOGRAD("n1c16h5w6k16r3s3u1a1g1"), /* beside the table */
    { RN_SLOT_conv2d_forward, "n2c16h6w9k16r3s3u1a1g1", RN_V_BIAS },
    { RN_SLOT_conv2d_forward, "n1c16h6w6k16r3s3u1a1g1", RN_V_TINY },
    { RN_SLOT_conv2d_backward_data, "n2c16h9w6k16r3s3u1a1g1", RN_V_ADD | RN_V_IN_PLACE },
    { RN_SLOT_conv2d_backward_weights, "n1c16h6w6k16r3s3u1a1g1", RN_V_TINY },
    { RN_SLOT_conv2d_bias, "n2c16h7w7k16r3s3u1a1g1", RN_V_ADD_RELU },
    { RN_SLOT_conv2d_bn, "n2c16h7w6k16r3s3u1a1g1", RN_V_RELU },
    { RN_SLOT_conv2d_bn_train, "n2c16h6w7k16r3s3u1a1g1", RN_V_ADD_RELU },

    CONV("n5c3h7w7k4r3s3u1a1g1"), /* A31: leaves of 98 slots, the last of 49 */
    CONV("n1c33h5w6k35r1s1u1a0g1"), /* a block of 32 slots and a short one */
    CONV("n1c11h6w6k9r3s3u2a1g1"), /* taps of 11 and 9 slots, on and off the grid */
    { RN_SLOT_conv2d_forward, "n2c16h5w5k4r3s3u1a1g1", RN_V_SMALL },
    { RN_SLOT_conv2d_backward_data, "n2c4h5w5k16r3s3u1a1g1", RN_V_SMALL | RN_V_ADD },
    { RN_SLOT_conv2d_backward_weights, "n4c4h5w5k4r3s3u1a1g1", RN_V_SMALL },
    { RN_SLOT_conv2d_bias, "n2c16h5w5k4r1s1u1a0g1", RN_V_ADD_RELU | RN_V_SMALL },
    { RN_SLOT_linear_forward, "n3c65h1w1k9", RN_V_SMALL },
    { RN_SLOT_tensor_set, "n1c5h7w9", RN_V_SMALL },
    { RN_SLOT_images_forward, "n9c3h6w8", 0 },
    { RN_SLOT_images_forward, "n9c3h8w5", RN_V_REFLECT },
    { RN_SLOT_images_forward, "n3c1h1w1", RN_V_REFLECT },
    { RN_SLOT_add, "n1c5h7w9", RN_V_SMALL },
    { RN_SLOT_relu_forward, "n1c5h7w9", RN_V_SMALL },
    { RN_SLOT_maxpool_backward, "n1c4h7w7k4r3s3u1a1", RN_V_SMALL },
    { RN_SLOT_avgpool_forward, "n1c4h7w7k4r3s3u2a1", RN_V_SMALL },

    BN_TRAIN("n2c3h5w5", 0),
    BN_TRAIN("n4c5h7w3", RN_V_RELU),
    BN_TRAIN("n3c4h4w4", RN_V_ADD_RELU),
    BN_TRAIN("n2c2h13w13", 0), /* runs of 128 inside a group */
    BN_TRAIN("n11c3h2w2", RN_V_RELU), /* groups of eight, the last short */
    BN_TRAIN("n1c17h3w3", 0),
    BN_TRAIN("n2c3h4w4", RN_V_TIES),
    { RN_SLOT_batchnorm_backward, "n2c5h4w4", RN_V_IN_PLACE },
    { RN_SLOT_batchnorm_backward, "n2c5h4w4", RN_V_RELU | RN_V_IN_PLACE },
    { RN_SLOT_batchnorm_backward, "n2c5h4w4", RN_V_ADD_RELU | RN_V_IN_PLACE_ADD },
    { RN_SLOT_batchnorm_apply, "n2c3h5w5", 0 },
    { RN_SLOT_batchnorm_apply, "n4c5h7w3", RN_V_RELU },
    { RN_SLOT_batchnorm_apply, "n3c17h4w4", RN_V_ADD_RELU },
    { RN_SLOT_batchnorm_backward, "n2c3h4w4", RN_V_RELU | RN_V_TIES }, /* masks of equal values */
    { RN_SLOT_batchnorm_backward, "n1c1h3w3", RN_V_RELU | RN_V_TINY },
    BN_EVAL("n2c3h5w5", 0),
    BN_EVAL("n1c6h3w4", RN_V_RELU),
    BN_EVAL("n2c4h3w3", RN_V_ADD_RELU),
    { RN_SLOT_batchnorm_forward_eval, "n2c3h4w4", RN_V_IN_PLACE },
    { RN_SLOT_batchnorm_running, "n2c5h3w3", 0 },
    { RN_SLOT_batchnorm_running, "n1c4h1w1", 0 }, /* one position: factor 1 */
    { RN_SLOT_batchnorm_running, "n2c5h3w3", RN_V_GIVEN },
    { RN_SLOT_batchnorm_running, "n2c5h3w3", RN_V_HELD },
    { RN_SLOT_conv2d_bn, "n2c3h7w6k5r3s3u1a1g1", 0 },
    { RN_SLOT_conv2d_bn, "n2c4h7w7k6r3s3u2a1g2", RN_V_RELU },
    { RN_SLOT_conv2d_bn, "n1c8h4w4k8r1s1u1a0g1", RN_V_ADD_RELU },
    { RN_SLOT_conv2d_bn_train, "n2c3h7w6k5r3s3u1a1g1", 0 },
    { RN_SLOT_conv2d_bn_train, "n3c4h7w7k6r3s3u2a1g2", RN_V_RELU },
    { RN_SLOT_conv2d_bn_train, "n9c8h4w4k20r1s1u1a0g1", RN_V_ADD_RELU },
    { RN_SLOT_conv2d_bn_train, "n1c3h13w15k17r3s3u1a1g1", RN_V_RELU }, /* more than a run of 128 */
    { RN_SLOT_conv2d_fold, "n1c3h4w4k5r3s3u1a1g1", 0 },
    { RN_SLOT_conv2d_fold, "n1c6h4w4k4r3s3u1a1g2", RN_V_IN_PLACE },
    { RN_SLOT_conv2d_fold, "n1c4h4w4k5r1s1u1a0g1", RN_V_TINY },

    PAIR(relu, "n2c3h5w7"),
    { RN_SLOT_relu_forward, "n1c5h3w3", RN_V_IN_PLACE },
    { RN_SLOT_relu_forward, "n1c5h3w3", RN_V_NAN },
    { RN_SLOT_relu_backward, "n1c5h3w3", RN_V_IN_PLACE },
    { RN_SLOT_add, "n2c3h5w7", 0 },
    { RN_SLOT_add, "n1c5h3w3", RN_V_IN_PLACE },
    { RN_SLOT_add, "n1c5h3w3", RN_V_TIES },

    PAIR(maxpool, "n2c3h8w8k3r3s3u2a1"),
    PAIR(maxpool, "n1c5h7w9k5r2s2u2a0"),
    PAIR(maxpool, "n2c2h6w5k2r3s3u1a1"), /* windows that overlap */
    { RN_SLOT_maxpool_forward, "n2c4h7w7k4r3s3u2a1", RN_V_TIES },
    { RN_SLOT_maxpool_backward, "n2c4h7w7k4r3s3u1a1", RN_V_TIES },
    { RN_SLOT_maxpool_forward, "n1c2h5w5k2r3s3u2a1", RN_V_NAN },
    PAIR(avgpool, "n2c3h6w6k3r2s2u2a0"),
    PAIR(avgpool, "n1c4h7w5k4r3s3u2a1"), /* the padding counts */
    PAIR(global_avgpool, "n2c3h7w7"),
    PAIR(global_avgpool, "n3c17h4w5"),

    PAIR(resize, "n2c3h5w4p9q7"),
    PAIR(resize, "n1c2h7w8p3q4"),
    PAIR(resize, "n1c3h1w3p4q6"),

    { RN_SLOT_softmax_cross_entropy, "n5c10h1w1", 0 },
    { RN_SLOT_softmax_cross_entropy, "n9c7h1w1", RN_V_SMOOTH },
    { RN_SLOT_softmax_cross_entropy, "n3c2h1w1", RN_V_SMOOTH | RN_V_PART },

    { RN_SLOT_accumulate, "n3c5h3w3", 0 },
    { RN_SLOT_finite, "n3c5h3w3", 0 },
    { RN_SLOT_finite, "n3c5h3w3", RN_V_NAN },
    { RN_SLOT_finite, "n3c5h3w3", RN_V_GIVEN },
    { RN_SLOT_finite, "n3c5h3w3", RN_V_NAN | RN_V_GIVEN },
    { RN_SLOT_finite, "n3c5h3w3", RN_V_HELD },
    { RN_SLOT_tensor_finite, "n3c5h3w3", 0 },
    { RN_SLOT_tensor_finite, "n3c5h3w3", RN_V_NAN },
    { RN_SLOT_sgd_update, "n3c5h7w1", 0 },
    { RN_SLOT_sgd_update, "n3c5h7w1", RN_V_NESTEROV },
    { RN_SLOT_sgd_update, "n1c37h1w1", RN_V_TINY },
    { RN_SLOT_sgd_update, "n3c5h7w1", RN_V_GIVEN },
    { RN_SLOT_sgd_update, "n3c5h7w1", RN_V_HELD },
    { RN_SLOT_adamw_update, "n3c5h7w1", 0 },
    { RN_SLOT_adamw_update, "n1c37h1w1", RN_V_TINY },
    { RN_SLOT_adamw_update, "n3c5h7w1", RN_V_GIVEN },
    { RN_SLOT_adamw_update, "n3c5h7w1", RN_V_HELD },
};

const struct rn_case *rn_cases(size_t *count)
{
    *count = RN_COUNT(cases);
    return cases;
}
