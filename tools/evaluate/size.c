/* size.c - how large a net is: on disk, in memory, layer by layer. */
#define _POSIX_C_SOURCE 200809L

#include "tools/evaluate/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

rn_status tool_size_measure(struct tool_size *s, const struct rn_net *net, const char *path)
{
    struct rn_net_config c = *rn_net_config_of(net);
    struct stat info;
    c.eval_batch = 1;
    rn_status status = rn_layers(&s->layer, &s->layers, &c);
    if (!status) status = rn_net_arena_bytes(&s->inference_bytes, &c, rn_net_ops(net), rn_net_dev(net));
    if (!status && stat(path, &info)) status = rn_fail(RN_EINPUT, "%s: it is no longer there", path);
    if (status) return status;
    s->arch = rn_net_config_of(net)->arch.name;
    s->stem = rn_stem_name(c.arch.stem);
    s->image_size = c.image_size;
    s->file_bytes = (int64_t)info.st_size;
    s->parameters = (int64_t)rn_net_trainable_count(net);
    s->macs = rn_net_macs(net);
    s->weights_bytes = 0;
    for (int i = 0; i < s->layers; i++) s->weights_bytes += s->layer[i].bytes;
    return RN_OK;
}

void tool_size_json(struct rn_text *t, const struct tool_size *s)
{
    rn_text_add(t, ",\n  \"parameters\": %" PRId64 ",\n  \"macs\": %" PRId64 ",\n  \"image_size\": %d,\n"
                "  \"file_bytes\": %" PRId64 ",\n  \"weights_bytes\": %" PRId64 ",\n  \"inference_bytes\": %zu,\n"
                "  \"layers\": [", s->parameters, s->macs, s->image_size, s->file_bytes, s->weights_bytes,
                s->inference_bytes);
    for (int i = 0; i < s->layers; i++) {
        const struct rn_layer *l = &s->layer[i];
        rn_text_add(t, "%s\n    {\"name\": \"%s\", \"kind\": \"%s\", \"output\": [%d, %d, %d], \"parameters\": %" PRId64
                    ", \"bytes\": %" PRId64 ", \"macs\": %" PRId64 "}", i ? "," : "", l->name, l->kind, l->C, l->H,
                    l->W, l->parameters, l->bytes, l->macs);
    }
    rn_text_add(t, "\n  ]");
}

static void add_mb(struct rn_text *t, const char *name, int64_t bytes)
{
    rn_text_add(t, "%-34s %12" PRId64 " bytes, ", name, bytes);
    rn_text_fixed(t, (double)bytes / RN_MB, 2);
    rn_text_add(t, " MB\n");
}

void tool_size_text(struct rn_text *t, const struct tool_size *s)
{
    char shape[48];
    rn_text_add(t, "%s, %s stem, %s, images of %dx%d\n%-34s %12" PRId64 "\n%-34s %12" PRId64 " of one image\n", s->arch,
                s->stem, s->numerics, s->image_size, s->image_size, "parameters", s->parameters,
                "multiply-accumulates", s->macs);
    add_mb(t, "file", s->file_bytes);
    add_mb(t, "weights and buffers", s->weights_bytes);
    add_mb(t, "memory of inference, batch 1", (int64_t)s->inference_bytes);
    rn_text_add(t, "\n%-24s %-20s %14s %11s %11s %12s\n", "layer", "kind", "output", "parameters", "bytes", "MACs");
    for (int i = 0; i < s->layers; i++) {
        const struct rn_layer *l = &s->layer[i];
        snprintf(shape, sizeof shape, "%dx%dx%d", l->C, l->H, l->W);
        rn_text_add(t, "%-24s %-20s %14s %11" PRId64 " %11" PRId64 " %12" PRId64 "\n", l->name, l->kind, shape,
                    l->parameters, l->bytes, l->macs);
    }
}
