/*
 * arch_shapes.c - reads an architecture off the shapes of a state dict, so that pruned and resized nets
 * need no description beside their weights.  Shapes do not tell strides: the first block of every stage
 * but the first has stride 2, as in all members of the family.
 */
#include "net/net.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct reader {
    rn_shape_fn *shape;
    void *arg;
};

/* The dims of a weight that must be there with four dims, `channels` inputs (-1: any, else channels or
 * a divisor of it, for groups) and an r x r filter. */
static rn_status conv_dims(const struct reader *rd, const char *name, int64_t dims[8], int channels, int r)
{
    int n = rd->shape(rd->arg, name, dims);
    if (n == 0) return rn_fail(RN_EINPUT, "%s: missing", name);
    if (n != 4) return rn_fail(RN_EINPUT, "%s: %d dimensions, a convolution has 4", name, n);
    if (dims[2] != r || dims[3] != r)
        return rn_fail(RN_EINPUT, "%s: filter %" PRId64 "x%" PRId64 ", expected %dx%d", name, dims[2],
                       dims[3], r, r);
    if (dims[0] < 1 || dims[0] > 65536 || dims[1] < 1)
        return rn_fail(RN_EINPUT, "%s: %" PRId64 " output and %" PRId64 " input channels", name, dims[0],
                       dims[1]);
    if (channels >= 0 && dims[1] != channels && (dims[1] > channels || channels % dims[1] != 0))
        return rn_fail(RN_EINPUT, "%s: %" PRId64 " input channels, the layer before has %d", name,
                       dims[1], channels);
    return RN_OK;
}

/* The same for an ungrouped convolution: input channels must agree exactly. */
static rn_status plain_dims(const struct reader *rd, const char *name, int *out, int channels, int r)
{
    int64_t dims[8];
    rn_status st = conv_dims(rd, name, dims, channels, r);
    if (st != RN_OK) return st;
    if (channels >= 0 && dims[1] != channels)
        return rn_fail(RN_EINPUT, "%s: %" PRId64 " input channels, the layer before has %d", name,
                       dims[1], channels);
    *out = (int)dims[0];
    return RN_OK;
}

static rn_status read_stem(struct rn_arch *a, enum rn_stem stem, const struct reader *rd)
{
    int64_t dims[8];
    if (rd->shape(rd->arg, "conv1.0.weight", dims) > 0) {
        static const char *const name[3] = { "conv1.0.weight", "conv1.3.weight", "conv1.6.weight" };
        a->stem = RN_STEM_DEEP;
        for (int i = 0; i < 3; i++) {
            rn_status st = plain_dims(rd, name[i], &a->stem_width[i], i ? a->stem_width[i - 1] : 3, 3);
            if (st != RN_OK) return st;
        }
        return RN_OK;
    }
    int n = rd->shape(rd->arg, "conv1.weight", dims);
    bool seven = n == 4 && dims[2] == 7;
    if (seven) a->stem = RN_STEM_IMAGENET;
    else a->stem = stem == RN_STEM_IMAGENET || stem == RN_STEM_DEEP ? RN_STEM_CIFAR : stem;
    return plain_dims(rd, "conv1.weight", &a->stem_width[0], 3, seven ? 7 : 3);
}

static rn_status read_block(struct rn_arch *a, const char *prefix, int *channels, const struct reader *rd)
{
    struct rn_block *b = &a->block[a->blocks];
    char name[64];
    int64_t dims[8];
    rn_status st;

    b->groups = 1;
    snprintf(name, sizeof name, "%sconv1.weight", prefix);
    if ((st = plain_dims(rd, name, &b->mid, *channels, a->bottleneck ? 1 : 3)) != RN_OK) return st;
    snprintf(name, sizeof name, "%sconv2.weight", prefix);
    if ((st = conv_dims(rd, name, dims, b->mid, 3)) != RN_OK) return st;
    b->mid2 = b->out = (int)dims[0];
    if (a->bottleneck) {
        b->groups = (int)(b->mid / dims[1]);
        if (b->mid2 % b->groups != 0)
            return rn_fail(RN_EINPUT, "%s: %d output channels in %d groups", name, b->mid2, b->groups);
        snprintf(name, sizeof name, "%sconv3.weight", prefix);
        if ((st = plain_dims(rd, name, &b->out, b->mid2, 1)) != RN_OK) return st;
    } else if (dims[1] != b->mid) {
        return rn_fail(RN_EINPUT, "%s: %" PRId64 " input channels, the layer before has %d", name, dims[1],
                       b->mid);
    }
    snprintf(name, sizeof name, "%sdownsample.0.weight", prefix);
    b->project = rd->shape(rd->arg, name, dims) > 0;
    if (b->project) {
        int out;
        if ((st = plain_dims(rd, name, &out, *channels, 1)) != RN_OK) return st;
        if (out != b->out)
            return rn_fail(RN_EINPUT, "%s: %d output channels, the block has %d", name, out, b->out);
    } else if (b->stride != 1 || *channels != b->out) {
        return rn_fail(RN_EINPUT, "%s: missing, but the block turns %d channels into %d with stride %d",
                       name, *channels, b->out, b->stride);
    }
    *channels = b->out;
    return RN_OK;
}

static rn_status read_stage(struct rn_arch *a, int stage, int *channels, const struct reader *rd)
{
    for (int i = 0;; i++) {
        char prefix[32], name[64];
        int64_t dims[8];
        snprintf(prefix, sizeof prefix, "layer%d.%d.", stage + 1, i);
        snprintf(name, sizeof name, "%sconv1.weight", prefix);
        if (rd->shape(rd->arg, name, dims) == 0) break;
        if (a->blocks == RN_MAX_BLOCKS)
            return rn_fail(RN_EINPUT, "%s: more than %d blocks", name, RN_MAX_BLOCKS);
        struct rn_block *b = &a->block[a->blocks];
        b->stage = stage;
        b->index = i;
        b->stride = stage > 0 && i == 0 ? 2 : 1;
        rn_status st = read_block(a, prefix, channels, rd);
        if (st != RN_OK) return st;
        a->blocks++;
        a->stage_blocks[stage]++;
    }
    return RN_OK;
}

static bool same_body(const struct rn_arch *a, const struct rn_arch *b)
{
    return a->bottleneck == b->bottleneck && a->stages == b->stages && a->blocks == b->blocks &&
           memcmp(a->block, b->block, sizeof a->block) == 0 &&
           memcmp(a->stem_width, b->stem_width, sizeof a->stem_width) == 0;
}

/* A known name if all widths are a known net's, else "custom". */
static void find_name(struct rn_arch *a)
{
    size_t count;
    const char *const *name = rn_arch_names(&count);
    strcpy(a->name, "custom");
    for (size_t i = 0; i < count; i++) {
        struct rn_arch known;
        if (rn_arch_named(&known, name[i], a->stem, a->classes) == RN_OK && same_body(a, &known))
            strcpy(a->name, known.name);
    }
}

rn_status rn_arch_from_shapes(struct rn_arch *out, enum rn_stem stem, rn_shape_fn *shape, void *arg)
{
    const struct reader rd = { shape, arg };
    struct rn_arch arch, *a = &arch;
    int64_t dims[8];

    memset(a, 0, sizeof *a);
    rn_status st = read_stem(a, stem, &rd);
    if (st != RN_OK) return st;
    int channels = a->stem_width[a->stem == RN_STEM_DEEP ? 2 : 0];
    a->bottleneck = shape(arg, "layer1.0.conv3.weight", dims) > 0;
    for (int s = 0; s < RN_MAX_STAGES; s++) {
        if ((st = read_stage(a, s, &channels, &rd)) != RN_OK) return st;
        if (a->stage_blocks[s] == 0) break;
        a->stages++;
    }
    if (a->stages == 0) return rn_fail(RN_EINPUT, "layer1.0.conv1.weight: missing");
    a->features = channels;
    int n = shape(arg, "fc.weight", dims);
    if (n != 2) return rn_fail(RN_EINPUT, n ? "fc.weight: %d dimensions, 2 expected" : "fc.weight: missing", n);
    if (dims[1] != channels)
        return rn_fail(RN_EINPUT, "fc.weight: %" PRId64 " features, the net ends in %d", dims[1], channels);
    if (dims[0] < 2 || dims[0] > 1000000)
        return rn_fail(RN_EINPUT, "fc.weight: %" PRId64 " classes, 2 to 1000000 expected", dims[0]);
    a->classes = (int)dims[0];
    find_name(a);
    *out = *a;
    return RN_OK;
}
