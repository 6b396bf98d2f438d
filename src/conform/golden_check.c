/*
 * golden_check.c - judges an op table by a golden pack: the recorded inputs go through the table,
 * and what comes out is "same" (equal bits), "legal" (within the stated bound, for tables that do
 * not claim exactness) or "wrong"; the pack itself may be "damaged".
 *
 * Files are not trusted: a file that is not what the index hashed is damaged, whatever it holds;
 * the place is found by making the case once more on the reference.
 */
#include "conform/golden.h"

#include "base/file.h"
#include "base/mem.h"
#include "conform/small_net.h"
#include "resnet.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct check {
    const char *folder;
    const struct rn_ops *ops;
    void *dev, *reference;
    struct rn_verdicts verdicts;
};

/* What became of one case or of the trajectory. */
struct judgement { bool same; double error; char detail[RN_DETAIL_CHARS]; };

static rn_status report(struct check *k, const struct rn_finding *about, const struct judgement *j,
                        double bound)
{
    struct rn_finding f = *about;
    bool legal = !k->ops->exact && j->error <= bound;
    f.verdict = j->same ? "same" : legal ? "legal" : "wrong";
    f.error = j->error;
    f.limit = k->ops->exact ? 0 : bound;
    f.detail = j->same ? "" : j->detail;
    rn_verdict(&k->verdicts, &f, !j->same && !legal);
    return RN_OK;
}

static rn_status report_damage(struct check *k, const struct rn_finding *about, const char *file,
                               const char *detail)
{
    char text[RN_DETAIL_CHARS];
    struct rn_finding f = *about;
    snprintf(text, sizeof text, "%.96s was changed: %.*s", file, RN_DETAIL_CHARS - 120, detail);
    f.verdict = "damaged";
    f.error = HUGE_VAL;
    f.detail = text;
    rn_verdict(&k->verdicts, &f, true);
    return RN_OK;
}

/* Where a changed file differs from what the reference makes now. */
static void locate(char detail[RN_DETAIL_CHARS], const char *path, const struct rn_tensors *want)
{
    struct rn_tensors have;
    if (rn_safetensors_read(&have, path)) {
        snprintf(detail, RN_DETAIL_CHARS, "%.*s", RN_DETAIL_CHARS - 1, rn_error());
        return;
    }
    if (!rn_tensors_differ(detail, &have, want))
        snprintf(detail, RN_DETAIL_CHARS, "in its header, no tensor's values");
    rn_tensors_free(&have);
}

/* Compares one output and keeps the first difference and the largest error. */
static void judge(struct judgement *j, const char *name, enum rn_dtype dtype, const void *got,
                  const void *want, size_t count)
{
    struct rn_difference d;
    rn_difference(&d, dtype, got, want, count);
    if (d.same) return;
    if (j->same)
        snprintf(j->detail, sizeof j->detail, "%.64s%.*s", name, RN_DETAIL_CHARS - 72, d.text);
    j->same = false;
    if (!(d.error <= j->error)) j->error = d.error;
}

/* -- one case ---------------------------------------------------------------------------------- */

static rn_status check_labels(const struct rn_operand *o, const struct rn_conv_shape *g, const char *path)
{
    const int32_t *label = o->host;
    for (size_t i = 0; i < o->count; i++)
        if (label[i] < 0 || label[i] >= g->K)
            return rn_fail(RN_EINPUT, "%s: labels[%zu] is %d of %d classes", path, i, (int)label[i], g->K);
    return RN_OK;
}

static rn_status check_taps(const struct rn_operand *o, const struct rn_conv_shape *g, const char *path)
{
    const uint8_t *tap = o->host;
    for (size_t i = 0; i < o->count; i++) {
        const int p = (int)(i / (size_t)g->Q % (size_t)g->P), q = (int)(i % (size_t)g->Q);
        const int h = p * g->stride - g->pad + tap[i] / g->S, w = q * g->stride - g->pad + tap[i] % g->S;
        if (tap[i] >= g->R * g->S || h < 0 || h >= g->H || w < 0 || w >= g->W)
            return rn_fail(RN_EINPUT, "%s: index[%zu] is %d, a tap outside the image", path, i, tap[i]);
    }
    return RN_OK;
}

static bool is_within(int32_t i, int32_t least, int32_t most) { return i >= least && i <= most; }

static rn_status check_moves(const struct rn_operand *o, const struct rn_conv_shape *g, const char *path)
{
    const struct rn_image_move *move = o->host;
    for (int n = 0; n < g->N; n++) {
        const struct rn_image_move *m = &move[n];
        if (!is_within(m->top, -RN_IMAGE_FAR, RN_IMAGE_FAR) || !is_within(m->left, -RN_IMAGE_FAR, RN_IMAGE_FAR) ||
            !is_within(m->mirror, 0, 1) || !is_within(m->erase_top, 0, g->H) ||
            !is_within(m->erase_left, 0, g->W) || !is_within(m->erase_height, 0, g->H - m->erase_top) ||
            !is_within(m->erase_width, 0, g->W - m->erase_left))
            return rn_fail(RN_EINPUT, "%s: move[%d] leads out of the image", path, n);
    }
    return RN_OK;
}

/* Labels name a class, taps a pixel inside the image, moves a part of it: slots rely on it. */
static rn_status check_indices(const struct rn_call *call, const char *path)
{
    rn_status status = RN_OK;
    for (int i = 0; !status && i < call->count; i++) {
        const struct rn_operand *o = &call->item[i];
        if (o->output) continue;
        if (!strcmp(o->name, "labels")) status = check_labels(o, &call->g, path);
        if (!strcmp(o->name, "index")) status = check_taps(o, &call->g, path);
        if (!strcmp(o->name, "move")) status = check_moves(o, &call->g, path);
    }
    return status;
}

/* Every operand is in the file with its shape; inputs are copied into the call. */
static rn_status take_inputs(struct rn_call *call, const struct rn_tensors *file, const char *path)
{
    if (file->count != (size_t)call->count)
        return rn_fail(RN_EINPUT, "%s: holds %zu tensors, the case has %d", path, file->count,
                       call->count);
    for (int i = 0; i < call->count; i++) {
        struct rn_operand *o = &call->item[i];
        const struct rn_named *named = rn_tensors_find(file, o->name);
        if (!named || !rn_tensor_fits(&named->tensor, o->dtype, o->dims, o->shape))
            return rn_fail(RN_EINPUT, "%s: tensor %s is missing or does not fit %s", path, o->name,
                           call->c->geometry);
        if (!o->output) memcpy(o->host, named->tensor.data, o->count * rn_dtype_bytes(o->dtype));
    }
    return check_indices(call, path);
}

static rn_status run_case(struct check *k, const struct rn_finding *about, const struct rn_case *c,
                          const char *path, double bound)
{
    struct rn_tensors file = { 0 };
    struct rn_call call;
    struct judgement j = { .same = true };
    rn_status status = rn_call_open(&call, c);
    if (status) return status;
    if ((status = rn_safetensors_read(&file, path))) goto done;
    if ((status = take_inputs(&call, &file, path))) goto done;
    if ((status = rn_call_run(&call, k->ops, k->dev))) goto done;
    for (int i = 0; i < call.count; i++) {
        const struct rn_operand *o = &call.item[i];
        if (o->output)
            judge(&j, o->name, o->dtype, o->host, rn_tensors_find(&file, o->name)->tensor.data,
                  o->count);
    }
    status = report(k, about, &j, bound);
done:
    rn_tensors_free(&file);
    rn_call_close(&call);
    return status;
}

static rn_status damaged_case(struct check *k, const struct rn_finding *about,
                              const struct rn_case *c, const char *file, const char *path)
{
    struct rn_tensors want;
    char detail[RN_DETAIL_CHARS];
    rn_status status = rn_golden_case_tensors(&want, c, k->reference);
    if (status) return status;
    locate(detail, path, &want);
    rn_tensors_free(&want);
    return report_damage(k, about, file, detail);
}

static rn_status check_case(struct check *k, const struct rn_case *c, const struct rn_pack_entry *e)
{
    char variant[RN_VARIANT_CHARS];
    uint64_t hash;
    struct rn_finding about = { .op = rn_case_op(c->slot), .part = rn_case_direction(c->slot),
                                .geometry = c->geometry, .variant = variant };
    rn_variant_text(variant, c->variant);
    char *path = rn_path_join(k->folder, e->file);
    if (!path) return RN_ENOMEM;
    rn_status status = rn_golden_file_hash(&hash, path);
    if (status == RN_OK && hash != e->hash) status = damaged_case(k, &about, c, e->file, path);
    else if (status == RN_OK) status = run_case(k, &about, c, path, e->bound);
    rn_free(path);
    return status;
}

/* -- trajectory -------------------------------------------------------------------------------- */

static rn_status check_start(const struct rn_tensors *file, const char *path)
{
    struct rn_tensors start = { 0 };
    rn_status status = rn_trajectory_start(&start);
    for (size_t i = 0; i < start.count && status == RN_OK; i++) {
        const struct rn_tensor *want = &start.item[i].tensor;
        const struct rn_named *have = rn_tensors_find(file, start.item[i].name);
        if (!have || !rn_tensor_fits(&have->tensor, want->dtype, want->dims, want->shape))
            status = rn_fail(RN_EINPUT, "%s: tensor %s is missing or of another shape", path,
                             start.item[i].name);
    }
    rn_tensors_free(&start);
    if (status) return status;
    const int32_t *labels = rn_tensors_find(file, "labels")->tensor.data;
    for (int i = 0; i < RN_TRAJECTORY_STEPS * RN_SMALL_N; i++)
        if (labels[i] < 0 || labels[i] >= RN_SMALL_CLASSES)
            return rn_fail(RN_EINPUT, "%s: labels[%d] is %d of %d classes", path, i, (int)labels[i],
                           RN_SMALL_CLASSES);
    return RN_OK;
}

static rn_status run_trajectory(struct check *k, const struct rn_finding *about, const char *path,
                                double bound)
{
    struct rn_tensors file = { 0 }, got = { 0 };
    struct judgement j = { .same = true };
    rn_status status = rn_safetensors_read(&file, path);
    if (status || (status = check_start(&file, path))) goto done;
    if ((status = rn_trajectory_run(&got, &file, k->ops, k->dev))) goto done;
    for (size_t i = 0; i < got.count && status == RN_OK; i++) {
        const struct rn_tensor *g = &got.item[i].tensor;
        const struct rn_named *want = rn_tensors_find(&file, got.item[i].name);
        if (!want || !rn_tensor_fits(&want->tensor, g->dtype, g->dims, g->shape))
            status = rn_fail(RN_EINPUT, "%s: tensor %s is missing or of another shape", path,
                             got.item[i].name);
        else judge(&j, got.item[i].name, g->dtype, g->data, want->tensor.data, (size_t)g->count);
    }
    if (status == RN_OK) status = report(k, about, &j, bound);
done:
    rn_tensors_free(&got);
    rn_tensors_free(&file);
    return status;
}

static rn_status damaged_trajectory(struct check *k, const struct rn_finding *about,
                                    const char *file, const char *path)
{
    struct rn_tensors want = { 0 };
    char detail[RN_DETAIL_CHARS];
    rn_status status = rn_trajectory_start(&want);
    if (status == RN_OK) status = rn_trajectory_run(&want, &want, &rn_ops_ref, k->reference);
    if (status == RN_OK) {
        locate(detail, path, &want);
        status = report_damage(k, about, file, detail);
    }
    rn_tensors_free(&want);
    return status;
}

static rn_status check_trajectory(struct check *k, const struct rn_pack_entry *e)
{
    uint64_t hash;
    const struct rn_finding about = {
        .op = "trajectory", .part = "10 steps", .geometry = "n4c3h11w13", .variant = "plain"
    };
    char *path = rn_path_join(k->folder, e->file);
    if (!path) return RN_ENOMEM;
    rn_status status = rn_golden_file_hash(&hash, path);
    if (status == RN_OK && hash != e->hash) status = damaged_trajectory(k, &about, e->file, path);
    else if (status == RN_OK) status = run_trajectory(k, &about, path, e->bound);
    rn_free(path);
    return status;
}

rn_status rn_golden_check(const char *folder, const struct rn_ops *ops, void *dev,
                          const char *numerics, rn_finding_sink *sink, void *arg)
{
    size_t count;
    const struct rn_case *cases = rn_cases(&count);
    struct check k = { .folder = folder, .ops = ops, .dev = dev,
                       .verdicts = { .sink = sink, .arg = arg } };
    struct rn_pack_index index;
    rn_status status = rn_pack_index_read(&index, folder, numerics);
    if (status) return status;
    status = rn_golden_reference(&k.reference, numerics);
    for (size_t i = 0; i < count && status == RN_OK; i++)
        status = check_case(&k, &cases[i], &index.item[i]);
    if (status == RN_OK) status = check_trajectory(&k, &index.item[count]);
    if (k.reference) rn_ops_ref.close(k.reference);
    rn_pack_index_free(&index);
    if (status == RN_OK && k.verdicts.failures)
        status = rn_fail(RN_ECHECK, "%s: %d of %d cases failed on backend %s, first %s", folder,
                         k.verdicts.failures, k.verdicts.rows, ops->name, k.verdicts.first);
    return status;
}
