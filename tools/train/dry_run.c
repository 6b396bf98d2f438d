/* dry_run.c - what a run would take, from a net for one image: no memory for a training step is needed. */
#include "tools/train/dry_run.h"

#include "tools/train/settings.h"

#include <inttypes.h>
#include <stdio.h>

static void add_settings(struct rn_text *t, const struct rn_value *arguments, bool json)
{
    for (size_t i = 0; i + 1 < arguments->count; i += 2) {
        rn_text_add(t, json ? "%s\n    \"%s\": " : "%s%s = ", json && i ? "," : "", arguments->item[i]->text);
        tool_value_text(t, arguments->item[i + 1], json);
        if (!json) rn_text_add(t, "\n");
    }
}

rn_status tool_dry_run(const struct rn_train_config *c, struct tool_device *device, const struct rn_value *arguments,
                       bool json)
{
    struct rn_net_config n = { .arch = c->arch,
                               .image_size = c->image_size,
                               .upsample = c->upsample,
                               .batch = c->batch,
                               .eval_batch = c->val_batch,
                               .checkpoint = c->checkpoint_activations,
                               .freeze_bn = c->freeze_bn,
                               .freeze = c->freeze };
    struct rn_net *net;
    struct rn_text t = {0};
    size_t arena;
    rn_status st = rn_train_config_check(c);
    if (!st) st = rn_net_arena_bytes(&arena, &n, device->ops, device->dev);
    n.batch = 0;
    n.checkpoint = false;
    n.eval_batch = 1;
    if (!st) st = rn_net_create(&net, &n, device->ops, device->dev);
    if (st) return st;
    size_t parameters = rn_net_trainable_count(net);
    int64_t images = c->data->train.count, per_step = (int64_t)c->batch * c->parts;
    if (c->limit_train) images = RN_MIN(images, c->limit_train);
    arena += parameters * sizeof(float) * ((c->optimizer == RN_ADAMW ? 2 : 1) + c->average);
    rn_text_add(&t,
                json ? "{\n  \"parameters\": %zu,\n  \"macs\": %" PRId64 ",\n  \"arena_bytes\": %zu,\n"
                       "  \"steps_per_epoch\": %" PRId64 ",\n  \"effective_args\": {"
                     : "parameters       %zu\nmacs             %" PRId64 "\narena_bytes      %zu\n"
                       "steps_per_epoch  %" PRId64 "\n",
                parameters, rn_net_macs(net), arena, (images + per_step - 1) / per_step);
    add_settings(&t, arguments, json);
    if (json) rn_text_add(&t, "\n  }\n}\n");
    if (!(st = rn_text_status(&t))) fputs(t.data, stdout);
    rn_text_free(&t);
    rn_net_free(net);
    return st;
}
