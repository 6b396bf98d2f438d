/*
 * evaluator_run.c - one pass over a split, and what follows from its answers.  A threshold for a wanted
 * sensitivity is chosen on validation images, in a pass before, so that moving the images judged leaves it where
 * it is.
 */
#include "tools/evaluate/evaluator.h"

#include "base/mem.h"
#include "tools/cli/data.h"

#include <inttypes.h>
#include <string.h>

/* -- a pass ------------------------------------------------------------------------------------ */

static int64_t images_of(const struct tool_evaluator *v, const struct rn_split *split)
{
    return v->want.limit ? RN_MIN(split->count, v->want.limit) : split->count;
}

/* Images a batch: no more than the larger split has of those that this evaluator may go over. */
static int batch_of(const struct tool_evaluator *v)
{
    int64_t judged = images_of(v, tool_evaluator_split(v, v->want.split));
    int64_t chosen = images_of(v, tool_evaluator_split(v, "val"));
    return (int)RN_MAX(1, RN_MIN(v->want.batch, RN_MAX(judged, chosen)));
}

/* The net before the loader, whose memory it is told: it refuses before anything large is allocated. */
static rn_status pass(struct rn_metrics *m, struct tool_evaluator *v, const struct rn_split *split)
{
    struct rn_loader_config images = { .set = v->data, .split = split, .limit = v->want.limit,
                                       .batch = batch_of(v), .workers = v->want.workers };
    struct rn_loader_size size;
    struct rn_loader *loader = NULL;
    if (images.workers == TOOL_WORKERS) images.workers = tool_usual_workers(v->data->spec);
    memcpy(images.mean, v->mean, sizeof images.mean);
    memcpy(images.std, v->std, sizeof images.std);
    rn_status st = rn_loader_measure(&size, &images);
    if (!st) st = tool_evaluator_net(v, v->data->height, batch_of(v), size.bytes);
    if (!st) st = rn_loader_create(&loader, &images);
    if (!st) st = rn_evaluate(m, v->net, loader, NULL, NULL);
    rn_loader_free(loader);
    return st;
}

static rn_status make_metrics(struct tool_evaluation *e, const struct tool_evaluator *v, int64_t images)
{
    struct rn_metrics *m = &e->m;
    const size_t classes = (size_t)v->arch.classes, count = (size_t)images;
    const bool leaning = classes == 2;
    m->flip = v->want.flip;
    m->positive_class = v->positive_class;
    m->confusion = rn_alloc_array(classes * classes, sizeof *m->confusion);
    m->calibration = rn_alloc(sizeof *m->calibration);
    e->score = rn_alloc_array(classes, sizeof *e->score);
    if (v->want.logits) m->logits = rn_alloc_array(count * classes, sizeof *m->logits);
    if (leaning) m->leaning = rn_alloc_array(count, sizeof *m->leaning);
    return m->confusion && m->calibration && e->score && (m->logits || !v->want.logits) && (m->leaning || !leaning)
               ? RN_OK
               : RN_ENOMEM;
}

/* -- screening --------------------------------------------------------------------------------- */

/* Without a target the decisions are the answers, and two classes make the threshold one half. */
static struct rn_decisions answers_counted(const struct rn_metrics *m)
{
    const int64_t *row = m->confusion;
    int p = m->positive_class, n = 1 - p;
    return (struct rn_decisions){ .true_positive = row[2 * p + p], .false_negative = row[2 * p + n],
                                  .true_negative = row[2 * n + n], .false_positive = row[2 * n + p] };
}

/* Positive from this probability on. */
static struct rn_decisions decide_from(double probability, const struct rn_leaning *ranked, int64_t count)
{
    int64_t positive = 0;
    while (positive < count && tool_probability(ranked[positive].margin) >= probability) positive++;
    return positive ? rn_decide_at(ranked[positive - 1].margin, ranked, count) : rn_decide_none(ranked, count);
}

/* The threshold that these ranked images choose. */
static rn_status choose_threshold(struct tool_chosen *c, const struct tool_evaluator *v, const struct rn_metrics *m)
{
    if (!rn_decide_for_sensitivity(&c->counts, m->leaning, m->count, v->want.sensitivity.value))
        return rn_fail(RN_EINPUT, "--target-sensitivity: none of the %" PRId64 " images of %s, %s, is of class \"%s\"",
                       m->count, v->data->spec, c->split, v->name[v->positive_class]);
    rn_screen(&c->figures, &c->counts, m->leaning, m->count);
    return RN_OK;
}

/* The same from a pass over the validation images. */
static rn_status choose_on_validation(struct tool_chosen *c, struct tool_evaluator *v, const struct rn_split *val)
{
    struct rn_metrics m = { .flip = v->want.flip, .positive_class = v->positive_class };
    m.leaning = rn_alloc_array((size_t)images_of(v, val), sizeof *m.leaning);
    rn_status st = m.leaning ? pass(&m, v, val) : RN_ENOMEM;
    if (!st) rn_rank(m.leaning, m.count);
    if (!st) st = choose_threshold(c, v, &m);
    rn_free(m.leaning);
    return st;
}

/* Before the pass: who chooses the threshold; and the choice, if it is not for the images judged. */
static rn_status prepare_threshold(struct tool_chosen *c, struct tool_evaluator *v)
{
    const struct rn_split *val = tool_evaluator_split(v, "val");
    if (v->arch.classes != 2 || !v->want.sensitivity.given) return RN_OK;
    c->sensitivity = v->want.sensitivity.value;
    c->same_images = val == tool_evaluator_split(v, v->want.split);
    c->split = c->same_images ? v->want.split : "val";
    return c->same_images ? RN_OK : choose_on_validation(c, v, val);
}

static rn_status screen(struct tool_evaluation *e, const struct tool_evaluator *v)
{
    struct tool_screening *s = &e->screening;
    const struct rn_metrics *m = &e->m;
    rn_status st = RN_OK;
    rn_rank(m->leaning, m->count);
    if (s->chosen.same_images && (st = choose_threshold(&s->chosen, v, m))) return st;
    s->given = v->want.threshold.given;
    s->counts = s->chosen.split ? rn_decide_at(s->chosen.counts.threshold, m->leaning, m->count)
                : s->given      ? decide_from(v->want.threshold.value, m->leaning, m->count)
                                : answers_counted(m);
    s->positive_class = v->positive_class;
    s->threshold = s->given ? v->want.threshold.value : tool_probability(s->counts.threshold);
    rn_screen(&s->figures, &s->counts, m->leaning, m->count);
    s->seed = v->want.seed;
    if (v->want.resamples)
        st = rn_bootstrap(&s->interval, m->leaning, m->count, s->counts.true_positive + s->counts.false_positive,
                          v->want.resamples, s->seed, v->device.threads);
    return st;
}

/* -- all of it --------------------------------------------------------------------------------- */

rn_status tool_evaluator_run(struct tool_evaluation *e, struct tool_evaluator *v)
{
    const struct rn_split *split = tool_evaluator_split(v, v->want.split);
    *e = (struct tool_evaluation){ .data = v->data->spec, .split = v->want.split, .names = v->name,
                                   .classes = v->arch.classes, .folded = v->want.fold,
                                   .skipped = v->data->skipped };
    rn_status st = prepare_threshold(&e->screening.chosen, v);
    if (!st) st = make_metrics(e, v, images_of(v, split));
    if (!st) st = pass(&e->m, v, split);
    if (st) return st;
    const struct rn_net_config *c = rn_net_config_of(v->net);
    e->arch = c->arch.name;
    e->stem = rn_stem_name(c->arch.stem);
    e->numerics = opt_text(v->o, "numerics");
    e->weights_hash = rn_net_hash(v->net);
    rn_class_scores(e->score, e->m.confusion, e->classes);
    return e->classes == 2 ? screen(e, v) : RN_OK;
}

void tool_evaluation_free(struct tool_evaluation *e)
{
    rn_free(e->m.confusion);
    rn_free(e->m.logits);
    rn_free(e->m.calibration);
    rn_free(e->m.leaning);
    rn_free(e->score);
    *e = (struct tool_evaluation){0};
}
