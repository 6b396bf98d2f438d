/*
 * arch.c - the ResNet family as tables: a row a model, unfolded into blocks with all their widths.
 *
 * Tables 1 of arXiv:1512.03385 (ResNet) and arXiv:1611.05431 (ResNeXt), and arXiv:1605.07146 (Wide
 * ResNet) in torchvision's reading: the stride of a bottleneck sits on its 3x3 ("v1.5").
 */
#include "net/net.h"

#include "base/text.h"

#include <string.h>

struct arch_row {
    const char *name;
    bool bottleneck;
    int blocks[RN_MAX_STAGES];
    int groups, base_width; /* width of a group at 64 planes */
};

static const struct arch_row arch_table[] = {
    { "resnet18",         false, { 2, 2, 2, 2 },  1,  64 },
    { "resnet34",         false, { 3, 4, 6, 3 },  1,  64 },
    { "resnet50",         true,  { 3, 4, 6, 3 },  1,  64 },
    { "resnet101",        true,  { 3, 4, 23, 3 }, 1,  64 },
    { "resnet152",        true,  { 3, 8, 36, 3 }, 1,  64 },
    { "resnext50_32x4d",  true,  { 3, 4, 6, 3 },  32, 4 },
    { "resnext101_32x8d", true,  { 3, 4, 23, 3 }, 32, 8 },
    { "resnext101_64x4d", true,  { 3, 4, 23, 3 }, 64, 4 },
    { "wide_resnet50_2",  true,  { 3, 4, 6, 3 },  1,  128 },
    { "wide_resnet101_2", true,  { 3, 4, 23, 3 }, 1,  128 },
};

static const char *const arch_names[RN_COUNT(arch_table)] = {
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d",
    "resnext101_32x8d", "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2",
};

static const char *const stem_names[] = { "imagenet", "cifar", "cifar-pool", "3x3s2", "deep" };

const char *const *rn_arch_names(size_t *count)
{
    *count = RN_COUNT(arch_names);
    return arch_names;
}

const char *rn_stem_name(enum rn_stem stem) { return stem_names[stem]; }

rn_status rn_stem_parse(enum rn_stem *stem, const char *name)
{
    for (size_t i = 0; i < RN_COUNT(stem_names); i++) {
        if (strcmp(name, stem_names[i]) == 0) {
            *stem = (enum rn_stem)i;
            return RN_OK;
        }
    }
    const char *near = rn_nearest(name, stem_names, RN_COUNT(stem_names));
    return rn_fail(RN_EUSAGE, "unknown stem '%s'%s%s%s", name, near ? "; did you mean '" : "",
                   near ? near : "", near ? "'?" : "");
}

/* Appends one block whose input has *channels channels, and moves *channels to its output. */
static void add_block(struct rn_arch *a, const struct arch_row *row, int stage, int index, int *channels)
{
    int planes = 64 << stage;
    struct rn_block *b = &a->block[a->blocks++];

    b->stage = stage;
    b->index = index;
    b->stride = stage > 0 && index == 0 ? 2 : 1;
    b->groups = row->groups;
    b->mid = row->bottleneck ? planes * row->base_width / 64 * row->groups : planes;
    b->mid2 = b->mid;
    b->out = row->bottleneck ? 4 * planes : planes;
    b->project = b->stride != 1 || *channels != b->out;
    *channels = b->out;
}

rn_status rn_arch_named(struct rn_arch *a, const char *name, enum rn_stem stem, int classes)
{
    const struct arch_row *row = NULL;
    for (size_t i = 0; i < RN_COUNT(arch_table); i++)
        if (strcmp(arch_table[i].name, name) == 0) row = &arch_table[i];
    if (!row) {
        const char *near = rn_nearest(name, arch_names, RN_COUNT(arch_names));
        char list[RN_COUNT(arch_names) * sizeof a->name] = "";
        if (near) return rn_fail(RN_EUSAGE, "unknown architecture '%s'; did you mean '%s'?", name, near);
        for (size_t i = 0; i < RN_COUNT(arch_names); i++) strcat(strcat(list, i ? ", " : ""), arch_names[i]);
        return rn_fail(RN_EUSAGE, "unknown architecture '%.60s'; they are %s", name, list);
    }
    if ((unsigned)stem > RN_STEM_DEEP) return rn_fail(RN_EUSAGE, "stem: %d is none", (int)stem);
    if (classes < 2) return rn_fail(RN_EUSAGE, "classes: %d, must be 2 or more", classes);

    memset(a, 0, sizeof *a);
    strcpy(a->name, row->name);
    a->stem = stem;
    a->stem_width[0] = stem == RN_STEM_DEEP ? 32 : 64;
    a->stem_width[1] = stem == RN_STEM_DEEP ? 32 : 0;
    a->stem_width[2] = stem == RN_STEM_DEEP ? 64 : 0;
    a->bottleneck = row->bottleneck;
    a->stages = RN_MAX_STAGES;
    a->classes = classes;
    int channels = 64;
    for (int s = 0; s < a->stages; s++) {
        a->stage_blocks[s] = row->blocks[s];
        for (int i = 0; i < row->blocks[s]; i++) add_block(a, row, s, i, &channels);
    }
    a->features = channels;
    return RN_OK;
}
