/*
 * evaluate.c - loss and counts over a data set.  Metrics are integers first (A24), the loss is
 * summed per image in data-set order (A23): neither knows the batch size or the thread count.
 */
#include "train/train.h"
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
    *answer = best;
    *top1 = !nan && best == label;
    *top5 = !nan && above < 5;
}

static void count_batch(struct rn_metrics *m, const float *logits, const struct rn_batch *b,
                        int classes)
{
    for (int i = 0; i < b->n; i++) {
        bool top1, top5;
        int answer;
        rn_score(&top1, &top5, &answer, logits + (size_t)i * (size_t)classes, classes,
                 b->labels[i]);
        m->correct += top1;
        m->correct5 += top5;
        if (m->confusion) m->confusion[(int64_t)b->labels[i] * classes + answer]++;
    }
}

/* One batch: forward, loss, counts. */
static void evaluate_batch(struct rn_metrics *m, struct rn_sum *sum, struct rn_net *net,
                           const struct rn_batch *b, double *loss, float *logits)
{
    int classes = rn_net_config_of(net)->arch.classes;
    rn_net_forward(net, b->images, b->n, false);
    rn_net_loss(net, loss, b->labels, 0, 0.0);
    rn_net_logits(net, logits);
    for (int i = 0; i < b->n; i++) rn_sum_add(sum, loss[i]);
    count_batch(m, logits, b, classes);
    if (m->logits)
        memcpy(m->logits + (size_t)m->count * (size_t)classes, logits,
               (size_t)b->n * (size_t)classes * sizeof *logits);
    m->count += b->n;
}

static rn_status evaluate_all(struct rn_metrics *m, struct rn_net *net, struct rn_loader *loader,
                              rn_stop_fn *stop, void *arg, double *loss, float *logits)
{
    struct rn_sum sum = {0};
    struct rn_batch b;
    rn_status status = rn_loader_begin(loader, 0, 0);
    if (status) return status;
    while (!(status = rn_loader_next(loader, &b)) && b.n) {
        if (stop && stop(arg)) return rn_fail(RN_EINTR, "stopped during evaluation");
        evaluate_batch(m, &sum, net, &b, loss, logits);
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
    double *loss = rn_alloc_array((size_t)c->eval_batch, sizeof *loss);
    float *logits = rn_alloc_array((size_t)c->eval_batch * (size_t)c->arch.classes, sizeof *logits);
    rn_status status = RN_ENOMEM;
    if (loss && logits) {
        double start = rn_seconds();
        rn_fpmode mode = rn_fpmode_enter();
        m->count = m->correct = m->correct5 = 0;
        status = evaluate_all(m, net, loader, stop, arg, loss, logits);
        rn_fpmode_leave(mode);
        m->seconds = rn_seconds() - start;
    }
    rn_free(loss);
    rn_free(logits);
    return status;
}
