/*
 * evaluate.c - loss and counts over a data set.  Metrics are integers first (A24), the loss is
 * summed per image in data-set order (A23): neither knows the batch size or the thread count.
 */
#include "train/train.h"
#include "base/marks.h"
#include "base/mem.h"
#include "base/real.h"
#include "base/threads.h"
#include "train/sum.h"

#include <string.h>

void rn_score(bool *top1, bool *top5, int *answer, const float *logits, int classes, int label)
{
    int best = 0, above = 0;
    bool nan = false;
    float own = logits[label];
    for (int k = 0; k < classes; k++) {
        nan |= logits[k] != logits[k];
        if (logits[k] > logits[best]) best = k;
        above += logits[k] > own || (k < label && logits[k] == own);
    }
    *answer = nan && best == label ? (label + 1) % classes : best;
    *top1 = *answer == label;
    *top5 = !nan && above < 5;
}

/* What one pass works with, each for one batch. */
struct pass {
    struct rn_net *net;
    int classes;
    double *loss;
    float *logits;
    struct rn_image_move *mirrored; /* and logits, of the mirror images; NULL without flip */
    float *other;
};

/* -- the mirror image -------------------------------------------------------------------------- */

/* Halves are exact, so that an image and its mirror image get the same bits. */
static void average_with_mirror(const struct pass *p, const struct rn_batch *b)
{
    const size_t count = (size_t)b->n * (size_t)p->classes;
    struct rn_images images = b->images;
    for (int i = 0; i < b->n; i++) {
        p->mirrored[i] = b->images.move[i];
        p->mirrored[i].mirror ^= 1;
    }
    images.move = p->mirrored;
    rn_net_forward_images(p->net, &images, false);
    rn_net_logits(p->net, p->other);
    for (size_t i = 0; i < count; i++) p->logits[i] = rn_store(0.5f * p->logits[i] + 0.5f * p->other[i]);
}

/* -- one batch --------------------------------------------------------------------------------- */

/* Logits and losses of the batch. */
static void answer_batch(const struct pass *p, const struct rn_batch *b)
{
    rn_net_forward_images(p->net, &b->images, false);
    rn_net_logits(p->net, p->logits);
    if (!p->mirrored) {
        rn_net_loss(p->net, p->loss, b->labels, 0, 0.0);
        return;
    }
    average_with_mirror(p, b);
    for (int i = 0; i < b->n; i++)
        p->loss[i] = rn_negative_log_likelihood(p->logits + (size_t)i * (size_t)p->classes, p->classes,
                                                b->labels[i]);
}

static void count_image(struct rn_metrics *m, const float *logits, int classes, int label)
{
    bool top1, top5;
    int answer;
    rn_score(&top1, &top5, &answer, logits, classes, label);
    m->correct += top1;
    m->correct5 += top5;
    if (m->confusion) m->confusion[(int64_t)label * classes + answer]++;
    if (m->calibration) rn_calibration_add(m->calibration, rn_confidence(logits, classes), top1);
    if (m->leaning) m->leaning[m->count] = rn_lean(logits, label, m->positive_class);
    if (m->logits)
        memcpy(m->logits + (size_t)m->count * (size_t)classes, logits, (size_t)classes * sizeof *logits);
    m->count++;
}

/* -- all of them ------------------------------------------------------------------------------- */

static rn_status evaluate_all(struct rn_metrics *m, const struct pass *p, struct rn_loader *loader,
                              rn_stop_fn *stop, void *arg)
{
    struct rn_sum sum = {0};
    struct rn_batch b;
    rn_status status = rn_loader_begin(loader, 0, 0);
    if (status) return status;
    while (!(status = rn_loader_next(loader, &b)) && b.n) {
        if (stop && stop(arg)) return rn_fail(RN_EINTR, "stopped during evaluation");
        answer_batch(p, &b);
        for (int i = 0; i < b.n; i++) {
            rn_sum_add(&sum, p->loss[i]);
            count_image(m, p->logits + (size_t)i * (size_t)p->classes, p->classes, b.labels[i]);
        }
    }
    if (status) return status;
    if (!m->count) return rn_fail(RN_EINPUT, "there are no images to evaluate");
    m->loss = rn_sum_total(&sum) / (double)m->count;
    if (!rn_finite64(m->loss))
        return rn_fail(RN_EFAIL, "the loss over %lld images is not finite", (long long)m->count);
    return RN_OK;
}

rn_status rn_evaluate(struct rn_metrics *m, struct rn_net *net, struct rn_loader *loader,
                      rn_stop_fn *stop, void *arg)
{
    const struct rn_net_config *c = rn_net_config_of(net);
    const size_t images = (size_t)c->eval_batch, classes = (size_t)c->arch.classes;
    struct pass p = { .net = net, .classes = c->arch.classes,
                      .loss = rn_alloc_array(images, sizeof *p.loss),
                      .logits = rn_alloc_array(images, classes * sizeof *p.logits) };
    rn_status status = p.loss && p.logits ? RN_OK : RN_ENOMEM;
    if (!status && m->flip) {
        p.mirrored = rn_alloc_array(images, sizeof *p.mirrored);
        p.other = rn_alloc_array(images, classes * sizeof *p.other);
        if (!p.mirrored || !p.other) status = RN_ENOMEM;
    }
    if (!status) {
        double start = rn_seconds();
        rn_fpmode mode = rn_fpmode_enter();
        m->count = m->correct = m->correct5 = 0;
        rn_mark_begin("validation");
        status = evaluate_all(m, &p, loader, stop, arg);
        rn_mark_end();
        rn_fpmode_leave(mode);
        m->seconds = rn_seconds() - start;
    }
    rn_free(p.loss);
    rn_free(p.logits);
    rn_free(p.mirrored);
    rn_free(p.other);
    return status;
}
