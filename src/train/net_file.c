/*
 * net_file.c - the public way to put a net's weights into a file and back; checkpoints with the state of
 * training beside them are checkpoint.c's.
 */
#include "train/train.h"

#include "base/mem.h"

#include <string.h>

rn_status rn_net_load(struct rn_net *net, const char *path)
{
    struct rn_checkpoint *file;
    rn_status status = rn_checkpoint_open(&file, path);
    if (status) return status;
    status = rn_load_weights(net, file, false);
    rn_checkpoint_free(file);
    return status;
}

/* Row `i` of the state dict as an owned tensor. */
static rn_status tensor_of(struct rn_tensor *t, struct rn_net *net, const struct rn_param *p, size_t i)
{
    const bool counter = p->kind == RN_PARAM_BATCHES;
    memset(t, 0, sizeof *t);
    t->dtype = counter ? RN_I64 : RN_F32;
    t->dims = p->dims;
    for (int d = 0; d < p->dims; d++) t->shape[d] = p->shape[d];
    t->count = (int64_t)p->count;
    t->owned = true;
    t->data = rn_alloc_array(p->count, rn_dtype_bytes(t->dtype));
    if (!t->data) return RN_ENOMEM;
    if (counter) memcpy(t->data, &rn_net_batches(net)[p->offset], sizeof(int64_t));
    else rn_net_get(net, i, t->data);
    if (!rn_fail_cause()) return RN_OK;
    rn_free(t->data);
    return rn_fail(RN_EFAIL, "'%s' cannot be read from the device", p->name);
}

static rn_status collect(struct rn_tensors *all, struct rn_net *net)
{
    const struct rn_param *row;
    size_t rows = rn_net_params(net, &row);
    for (size_t i = 0; i < rows; i++) {
        struct rn_tensor t;
        rn_status status = tensor_of(&t, net, &row[i], i);
        if (status == RN_OK) status = rn_tensors_add(all, row[i].name, &t);
        if (status) return status;
    }
    return RN_OK;
}

static bool ends_in(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n > m && strcmp(s + n - m, end) == 0;
}

rn_status rn_net_save(struct rn_net *net, const char *path)
{
    struct rn_tensors all = {0};
    rn_status status = collect(&all, net);
    if (status == RN_OK) {
        if (ends_in(path, ".pth") || ends_in(path, ".pt")) status = rn_state_dict_write(path, &all);
        else if (ends_in(path, ".safetensors")) status = rn_safetensors_write(path, &all);
        else if (ends_in(path, ".npz")) status = rn_npz_write(path, &all);
        else status = rn_fail(RN_EUSAGE, "%s: a name ends in .pth, .safetensors or .npz", path);
    }
    rn_tensors_free(&all);
    return status;
}
