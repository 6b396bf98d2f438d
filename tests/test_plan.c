/*
 * test_plan.c - plans: run on paper, every value is where a step looks for it.
 *
 * The walk knows what each kind of step reads and writes from the net alone, not from lifetimes or from
 * what is kept: it writes a tag over every cell of a buffer when a value is made and looks for the tag
 * wherever the value is used, before and after the step's own writes.
 */
#include "tests/test.h"

#include "base/mem.h"
#include "net/plan.h"

#define CELL 64                            /* bytes: buffers are multiples of it */
enum { GRADIENT = 100000, INDEX = 200000, SCRATCH = 300000 }; /* tags: one of these + node or step */

struct paper {
    const struct rn_graph *g;
    const struct rn_plan *p;
    void *dev;
    int batch;
    int *cell;                             /* the block: a tag a cell */
    int *contributions;                    /* by node: consumers that added to its gradient */
    int *gradients;                        /* by node: steps that made its parameters' gradients */
};

struct use { int buffer, tag; size_t bytes; };
struct uses { struct use use[8]; int count; };

static size_t tensor_bytes(const struct paper *w, int node)
{
    const struct rn_node *n = &w->g->node[node];
    return rn_ops_ref.tensor_bytes(w->dev, w->batch, n->C, n->H, n->W);
}

static void add_use(struct uses *u, int buffer, int tag, size_t bytes)
{
    u->use[u->count++] = (struct use){ buffer, tag, bytes };
}

static void value(struct uses *u, const struct paper *w, int buffer, int node)
{
    add_use(u, buffer, node, tensor_bytes(w, node));
}

static void gradient(struct uses *u, const struct paper *w, int buffer, int node)
{
    add_use(u, buffer, GRADIENT + node, tensor_bytes(w, node));
}

static void choices(struct uses *u, const struct paper *w, int buffer, int node)
{
    const struct rn_node *n = &w->g->node[node];
    add_use(u, buffer, INDEX + node, (size_t)w->batch * (size_t)n->C * (size_t)n->H * (size_t)n->W);
}

/* What a step needs and makes, from the kind of layer alone. */
static void uses_of(struct uses *in, struct uses *out, struct paper *w, const struct rn_plan_step *s,
                    bool training)
{
    const struct rn_node *n = &w->g->node[s->node];
    const bool has_gradient = n->src > 0 && w->g->node[n->src].kind != RN_NODE_RESIZE;
    in->count = out->count = 0;
    if (s->kind > RN_STEP_LOSS) gradient(in, w, s->dout, s->node);
    switch (s->kind) {
    case RN_STEP_INPUT:
        value(out, w, s->out, s->node);
        break;
    case RN_STEP_CONV_BN:
        value(in, w, s->in, w->g->node[n->src].src);
        if (n->add >= 0) value(in, w, s->add, n->add);
        if (training) value(out, w, s->x, n->src);
        value(out, w, s->out, s->node);
        break;
    case RN_STEP_CONV:
        value(in, w, s->in, n->src);
        value(out, w, s->x, s->node);
        break;
    case RN_STEP_APPLY:
        value(in, w, s->x, n->src);
        if (n->add >= 0) value(in, w, s->add, n->add);
        value(out, w, s->out, s->node);
        break;
    case RN_STEP_RESIZE:
    case RN_STEP_MAXPOOL:
    case RN_STEP_AVGPOOL:
    case RN_STEP_LINEAR:
        value(in, w, s->in, n->src);
        value(out, w, s->out, s->node);
        if (s->kind == RN_STEP_MAXPOOL) choices(out, w, s->index, s->node);
        break;
    case RN_STEP_LOSS:
        value(in, w, s->in, s->node);
        gradient(out, w, s->dout, s->node);
        break;
    case RN_STEP_MAXPOOL_BACK:
        choices(in, w, s->index, s->node);
        gradient(out, w, s->din, n->src);
        break;
    case RN_STEP_AVGPOOL_BACK:
        gradient(out, w, s->din, n->src);
        break;
    case RN_STEP_LINEAR_BACK:
        value(in, w, s->in, n->src);
        gradient(out, w, s->din, n->src);
        w->gradients[s->node]++;
        break;
    case RN_STEP_BN_BACK:
        value(in, w, s->x, n->src);
        if (n->u.bn.post == RN_POST_ADD_RELU) value(in, w, s->out, s->node);
        gradient(out, w, s->din, n->src);
        if (n->add >= 0) gradient(out, w, s->dadd, n->add);
        w->gradients[s->node]++;
        break;
    case RN_STEP_CONV_WEIGHTS:
        value(in, w, s->in, n->src);
        w->gradients[s->node]++;
        break;
    case RN_STEP_CONV_DATA:
        if (s->sum) gradient(in, w, s->din, n->src);
        if (has_gradient) gradient(out, w, s->din, n->src);
        break;
    }
}

static bool there(const struct paper *w, const struct use *u)
{
    if (u->buffer == RN_NONE) return false;
    const struct rn_plan_buffer *b = &w->p->buffer[u->buffer];
    if (b->bytes < u->bytes || b->at + b->bytes > w->p->bytes || b->at % CELL) return false;
    for (size_t i = 0; i < (u->bytes + CELL - 1) / CELL; i++)
        if (w->cell[b->at / CELL + i] != u->tag) return false;
    return true;
}

static void put(struct paper *w, int buffer, int tag)
{
    if (buffer == RN_NONE || w->p->buffer[buffer].at + w->p->buffer[buffer].bytes > w->p->bytes) return;
    const struct rn_plan_buffer *b = &w->p->buffer[buffer];
    for (size_t i = 0; i < b->bytes / CELL; i++) w->cell[b->at / CELL + i] = tag;
}

static bool written_in_place(const struct uses *out, int buffer)
{
    for (int i = 0; i < out->count; i++)
        if (out->use[i].buffer == buffer) return true;
    return false;
}

/* Whether step i finds everything and destroys nothing; what is wrong otherwise. */
static const char *walk_step(struct paper *w, int i, bool training)
{
    const struct rn_plan_step *s = &w->p->step[i];
    struct uses in, out;
    uses_of(&in, &out, w, s, training);
    for (int k = 0; k < in.count; k++)
        if (!there(w, &in.use[k])) return "an input is not there";
    put(w, s->packed, SCRATCH + 2 * i);
    put(w, s->work, SCRATCH + 2 * i + 1);
    for (int k = 0; k < out.count; k++) {
        put(w, out.use[k].buffer, out.use[k].tag);
        if (out.use[k].tag >= GRADIENT && out.use[k].tag < INDEX)
            w->contributions[out.use[k].tag - GRADIENT]++;
    }
    for (int k = 0; k < in.count; k++)
        if (!written_in_place(&out, in.use[k].buffer) && !there(w, &in.use[k]))
            return "an input was destroyed";
    for (int k = 0; k < out.count; k++)
        if (!there(w, &out.use[k])) return "an output was destroyed";
    for (int k = 0; k < 2; k++) {
        const int buffer = k ? s->work : s->packed;
        if (buffer == RN_NONE) continue;
        const struct use scratch = { buffer, SCRATCH + 2 * i + k, w->p->buffer[buffer].bytes };
        if (!there(w, &scratch)) return "scratch was destroyed";
    }
    return NULL;
}

static int consumers(const struct rn_graph *g, int node)
{
    int count = 0;
    for (int j = 0; j < g->nodes; j++) count += (g->node[j].src == node) + (g->node[j].add == node);
    return count;
}

/* All gradients were made, once, and none was used before all its consumers had added to it. */
static const char *walk_all(struct paper *w, bool training)
{
    const int last = w->g->nodes - 1;
    for (int i = 0; i < w->p->steps; i++) {
        const struct rn_plan_step *s = &w->p->step[i];
        const int want = s->node == last ? 1 : consumers(w->g, s->node);
        if (s->kind > RN_STEP_LOSS && w->contributions[s->node] != want)
            return "a gradient is not whole";
        if (s->kind == RN_STEP_CONV_DATA && s->sum != (w->contributions[w->g->node[s->node].src] > 0))
            return "a sum begins or goes on in the wrong place";
        const char *wrong = walk_step(w, i, training);
        if (wrong) return wrong;
    }
    for (int i = 0; training && i < w->g->nodes; i++)
        if (w->gradients[i] != (w->g->node[i].param >= 0)) return "a parameter has no gradient, or two";
    const struct use logits = { w->p->logits, last, tensor_bytes(w, last) };
    return there(w, &logits) ? NULL : "the logits are gone";
}

static const char *walk(const struct rn_graph *g, const struct rn_plan *p, int batch, void *dev,
                        bool training)
{
    struct paper w = { g, p, dev, batch, NULL, NULL, NULL };
    w.cell = rn_alloc_array(p->bytes / CELL + 1, sizeof *w.cell);
    w.contributions = rn_alloc_array((size_t)g->nodes, sizeof *w.contributions);
    w.gradients = rn_alloc_array((size_t)g->nodes, sizeof *w.gradients);
    for (size_t i = 0; i <= p->bytes / CELL; i++) w.cell[i] = -1;
    const char *wrong = walk_all(&w, training);
    rn_free(w.cell);
    rn_free(w.contributions);
    rn_free(w.gradients);
    return wrong;
}

/* -- the plans of whole nets ------------------------------------------------------------------- */

static struct rn_net_config config_of(const char *name, enum rn_stem stem, int upsample)
{
    struct rn_net_config c = { .image_size = 32, .batch = 3, .eval_batch = 3, .upsample = upsample };
    CHECK_OK(rn_arch_named(&c.arch, name, stem, 10));
    return c;
}

static void test_plans_hold(void)
{
    static const char *const name[] = { "resnet18", "resnet50" };
    const struct rn_device_options o = { .threads = 1 };
    void *dev;
    CHECK_OK(rn_ops_ref.open(&dev, &o));
    for (int i = 0; i < 2 * (RN_STEM_DEEP + 1); i++) {
        struct rn_net_config c = config_of(name[i % 2], (enum rn_stem)(i / 2), i % 2 ? 48 : 0);
        struct rn_graph g;
        struct rn_plan p;
        CHECK_OK(rn_graph_build(&g, &c));
        struct rn_plan_for want = { &g, &rn_ops_ref, dev, 3, false, false };
        size_t bytes[2];
        for (int k = 0; k < 2; k++) {
            want.checkpoint = k == 1;
            CHECK_OK(rn_plan_training(&p, &want));
            const char *wrong = walk(&g, &p, 3, dev, true);
            CHECK_MSG(!wrong, "%s, stem %d, checkpoint %d: %s", name[i % 2], i / 2, k, wrong);
            bytes[k] = p.bytes;
            rn_plan_free(&p);
        }
        CHECK_MSG(bytes[1] < bytes[0], "%s, stem %d: %zu bytes, with checkpoints %zu", name[i % 2],
                  i / 2, bytes[0], bytes[1]);
        CHECK_OK(rn_plan_evaluation(&p, &want));
        const char *wrong = walk(&g, &p, 3, dev, false);
        CHECK_MSG(!wrong, "%s, stem %d, evaluation: %s", name[i % 2], i / 2, wrong);
        rn_plan_free(&p);
        rn_graph_free(&g);
    }
    rn_ops_ref.close(dev);
}

/* The walk sees what it is for: two buffers that live at the same time, put in one place. */
static void test_walk_sees_overlaps(void)
{
    const struct rn_net_config c = config_of("resnet18", RN_STEM_IMAGENET, 0);
    const struct rn_device_options o = { .threads = 1 };
    struct rn_graph g;
    struct rn_plan p;
    void *dev;
    int pairs = 0;
    CHECK_OK(rn_ops_ref.open(&dev, &o));
    CHECK_OK(rn_graph_build(&g, &c));
    const struct rn_plan_for want = { &g, &rn_ops_ref, dev, 1, true, false };
    CHECK_OK(rn_plan_training(&p, &want));
    for (int i = 0; i < p.buffers; i++) {
        for (int k = i + 1; k < p.buffers; k++) {
            struct rn_plan_buffer *a = &p.buffer[i], *b = &p.buffer[k];
            bool together = a->first <= b->last && b->first <= a->last && a->bytes && b->bytes;
            if (!together || (i + k) % 13) continue;
            struct rn_plan_buffer *moved = a->bytes < b->bytes ? a : b, *other = moved == a ? b : a;
            const size_t at = moved->at;
            moved->at = other->at;
            CHECK_MSG(walk(&g, &p, 1, dev, true), "buffers %d and %d share memory unseen", i, k);
            moved->at = at;
            pairs++;
        }
    }
    CHECK_MSG(pairs > 100, "%d pairs tried", pairs);
    CHECK(!walk(&g, &p, 1, dev, true));
    rn_plan_free(&p);
    rn_graph_free(&g);
    rn_ops_ref.close(dev);
}

/* Memory of a training step, CIFAR stem, batch 128, less parameters: with every activation kept once, and
 * with the inputs of blocks only.  Nearly all of either is tensors that the rules in steps.c keep. */
static void test_activations_are_kept_once(void)
{
    struct rn_net_config c = config_of("resnet18", RN_STEM_CIFAR, 0);
    const struct rn_device_options o = { .threads = 1 };
    static const size_t most[2] = { 445, 262 };
    struct rn_graph g;
    struct rn_plan p;
    void *dev;
    CHECK_OK(rn_ops_ref.open(&dev, &o));
    CHECK_OK(rn_graph_build(&g, &c));
    for (int k = 0; k < 2; k++) {
        const struct rn_plan_for want = { &g, &rn_ops_ref, dev, 128, k == 1, false };
        CHECK_OK(rn_plan_training(&p, &want));
        CHECK_MSG(p.bytes >> 20 <= most[k], "checkpoint %d: %zu MB", k, p.bytes >> 20);
        rn_plan_free(&p);
    }
    rn_graph_free(&g);
    rn_ops_ref.close(dev);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row row[] = {
        RN_TEST_ROW(test_plans_hold), RN_TEST_ROW(test_walk_sees_overlaps),
        RN_TEST_ROW(test_activations_are_kept_once),
    };
    return rn_test_main("test_plan", row, RN_COUNT(row), argc, argv);
}
