/*
 * golden_write.c - writes a golden pack from the reference: a file a case, the trajectory, and last
 * the index, so that a folder without an index is no pack.  Equal builds write equal bytes.
 */
#include "conform/golden.h"

#include "base/file.h"
#include "base/mem.h"
#include "conform/small_net.h"
#include "resnet.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void put_member(struct rn_text *t, const char *name, double value, bool last)
{
    rn_text_add(t, "\"%s\":", name);
    rn_text_number(t, value);
    rn_text_add(t, last ? "" : ",");
}

static void put_sgd(struct rn_text *t, const struct rn_sgd *hp)
{
    put_member(t, "lr", hp->lr, false);
    put_member(t, "momentum", hp->momentum, false);
    put_member(t, "weight_decay", hp->weight_decay, false);
    rn_text_add(t, "\"nesterov\":%s", hp->nesterov ? "true" : "false");
}

static void put_adamw(struct rn_text *t, const struct rn_adamw *hp)
{
    put_member(t, "lr", hp->lr, false);
    put_member(t, "beta1", hp->beta1, false);
    put_member(t, "beta2", hp->beta2, false);
    put_member(t, "eps", hp->eps, false);
    put_member(t, "weight_decay", hp->weight_decay, false);
    put_member(t, "beta1_power", hp->beta1_power, false);
    put_member(t, "beta2_power", hp->beta2_power, true);
}

static void put_bn(struct rn_text *t, const struct rn_bn_shape *s)
{
    static const char *const posts[] = { "none", "relu", "add_relu" };
    put_member(t, "eps", s->eps, false);
    put_member(t, "momentum", s->momentum, false);
    rn_text_add(t, "\"post\":\"%s\"", posts[s->post]);
}

/* Who writes, where to, and the index so far. */
struct writer { const char *folder, *numerics; void *reference; struct rn_text index; };

/* Scalars of the call besides its geometry. */
static void put_parameters(struct rn_text *t, const struct rn_call *call)
{
    struct rn_bn_shape bn = rn_call_bn(call);
    struct rn_loss_shape loss = rn_call_loss(call);
    struct rn_sgd sgd = rn_case_sgd(call->c->variant);
    const char *op = rn_case_op(call->c->slot);
    rn_text_add(t, ",\"parameters\":{");
    if (strcmp(op, "bn") == 0 || strncmp(op, "conv2d_", 7) == 0) put_bn(t, &bn);
    if (strcmp(op, "sgd") == 0) put_sgd(t, &sgd);
    if (strcmp(op, "adamw") == 0) put_adamw(t, &rn_case_adamw);
    if (strcmp(op, "softmax_cross_entropy") == 0) {
        put_member(t, "smoothing", loss.smoothing, false);
        put_member(t, "total", loss.total, true);
    }
    rn_text_add(t, "}");
}

/* "inputs" or "outputs": names with the CRC-32 of their little-endian bytes. */
static void put_operands(struct rn_text *t, const struct rn_call *call,
                         const struct rn_tensors *tensors, bool outputs)
{
    const char *comma = "";
    rn_text_add(t, ",\"%s\":{", outputs ? "outputs" : "inputs");
    for (int i = 0; i < call->count; i++) {
        if (call->item[i].output != outputs) continue;
        const struct rn_named *named = rn_tensors_find(tensors, call->item[i].name);
        rn_text_add(t, "%s\"%s\":\"%08" PRIx32 "\"", comma, named->name, named->crc);
        comma = ",";
    }
    rn_text_add(t, "}");
}

/* Rule, bound, file and hash, and the seal over the line so far; `line` is where it began. */
static void put_judgement(struct rn_text *t, size_t line, const char *rule, double bound,
                          const char *file, uint64_t hash)
{
    rn_text_add(t, ",\"rule\":\"%s\",", rule);
    put_member(t, "bound", bound, false);
    rn_text_add(t, "\"files\":[\"%s\"],\"xxh64\":\"%016" PRIx64 "\"", file, hash);
    if (t->failed) return;
    uint64_t seal = rn_golden_hash(t->data + line, t->length - line);
    rn_text_add(t, RN_GOLDEN_SEAL "%016" PRIx64 "\"}", seal);
}

static rn_status save(uint64_t *hash, const char *folder, const char *file,
                      const struct rn_tensors *t)
{
    char *path = rn_path_join(folder, file);
    if (!path) return RN_ENOMEM;
    rn_status status = rn_safetensors_write(path, t);
    if (status == RN_OK) status = rn_golden_file_hash(hash, path);
    rn_free(path);
    return status;
}

/* One case: its file, and its line of the index. */
static rn_status write_case(struct writer *w, size_t number, const struct rn_case *c)
{
    struct rn_tensors tensors;
    struct rn_call call;
    char file[RN_GOLDEN_NAME_CHARS], variant[RN_VARIANT_CHARS];
    uint64_t hash;
    size_t line = w->index.length;
    rn_status status = rn_golden_case_tensors(&tensors, c, w->reference);
    if (status) return status;
    if ((status = rn_call_open(&call, c))) goto done;
    rn_golden_file_name(file, number, c);
    if ((status = save(&hash, w->folder, file, &tensors))) goto done;
    rn_variant_text(variant, c->variant);
    rn_text_add(&w->index,
                "{\"op\":\"%s\",\"direction\":\"%s\",\"geometry\":\"%s\",\"variant\":\"%s\","
                "\"numerics\":\"%s\"",
                rn_case_op(c->slot), rn_case_direction(c->slot), c->geometry, variant, w->numerics);
    put_parameters(&w->index, &call);
    put_operands(&w->index, &call, &tensors, false);
    put_operands(&w->index, &call, &tensors, true);
    put_judgement(&w->index, line, rn_call_rule(&call, w->numerics),
                  rn_call_bound(&call, w->numerics), file, hash);
done:
    rn_call_close(&call);
    rn_tensors_free(&tensors);
    return status;
}

static rn_status write_trajectory(struct writer *w)
{
    struct rn_tensors tensors = { 0 };
    uint64_t hash = 0;
    rn_status status = rn_trajectory_start(&tensors);
    if (status == RN_OK) status = rn_trajectory_run(&tensors, &tensors, &rn_ops_ref, w->reference);
    if (status == RN_OK) status = save(&hash, w->folder, RN_TRAJECTORY_FILE, &tensors);
    rn_tensors_free(&tensors);
    rn_text_add(&w->index, "\"trajectory\":\n");
    size_t line = w->index.length;
    rn_text_add(&w->index,
                "{\"op\":\"trajectory\",\"net\":\"small\",\"steps\":%d,\"numerics\":\"%s\","
                "\"parameters\":{",
                RN_TRAJECTORY_STEPS, w->numerics);
    put_sgd(&w->index, &rn_small_sgd);
    rn_text_add(&w->index, ",");
    put_member(&w->index, "smoothing", RN_SMALL_SMOOTHING, true);
    rn_text_add(&w->index, "}");
    put_judgement(&w->index, line, "A26",
                  rn_numerics_bf16(w->numerics) ? RN_TRAJECTORY_BOUND_BF16 : RN_TRAJECTORY_BOUND,
                  RN_TRAJECTORY_FILE, hash);
    return status;
}

static void put_opening(struct writer *w)
{
    rn_text_add(&w->index,
                "{\"format\":\"" RN_GOLDEN_FORMAT "\",\"version\":%d,\"written_by\":\"%s\","
                "\"numerics\":\"%s\",\n", RN_GOLDEN_VERSION, RN_VERSION, w->numerics);
    rn_text_add(
        &w->index,
        "\"about\":\"docs/backends.md; tensors are dense NCHW and OIHW; bound is relative to "
        "the root mean square and for inexact backends only\",\n\"cases\":[\n");
}

static rn_status write_index(struct rn_text *t, const char *folder)
{
    rn_text_add(t, ",\n");
    rn_status status = rn_text_status(t);
    if (status) return status;
    uint64_t hash = rn_golden_hash(t->data, t->length);
    rn_text_add(t, RN_GOLDEN_HASH "%016" PRIx64 "\"}\n", hash);
    if ((status = rn_text_status(t))) return status;
    char *path = rn_path_join(folder, RN_GOLDEN_INDEX);
    if (!path) return RN_ENOMEM;
    status = rn_file_write(path, t->data, t->length);
    rn_free(path);
    return status;
}

rn_status rn_golden_write(const char *folder, const char *numerics)
{
    size_t count;
    const struct rn_case *cases = rn_cases(&count);
    struct writer w = { .folder = folder, .numerics = numerics };
    rn_status status = rn_golden_reference(&w.reference, numerics);
    if (status) return status;
    status = rn_folder_make(folder);
    put_opening(&w);
    for (size_t i = 0; i < count && status == RN_OK; i++) {
        status = write_case(&w, i, &cases[i]);
        rn_text_add(&w.index, i + 1 < count ? ",\n" : "\n],\n");
    }
    if (status == RN_OK) status = write_trajectory(&w);
    if (status == RN_OK) status = write_index(&w.index, folder);
    rn_ops_ref.close(w.reference);
    rn_text_free(&w.index);
    return status;
}
