/* test_profile.c - the recorder, a watched op table and the trace: what is recorded nests, and nothing else changes. */
#define _XOPEN_SOURCE 700 /* mkdtemp */
#include "tests/test_train.h"

#include "base/file.h"
#include "base/marks.h"
#include "base/threads.h"
#include "io/io.h"
#include "net/memory.h"
#include "observe/observe.h"
#include "observe/profile.h"
#include "observe/trace.h"

#include <pthread.h>

static struct rn_recorder *recorder(size_t events, int tracks)
{
    const struct rn_recorder_config c = { .events = events, .tracks = tracks, .samples = 16 };
    struct rn_recorder *r = NULL;
    CHECK_OK(rn_recorder_create(&r, &c));
    return r;
}

static void call(enum rn_op_kind kind, int count)
{
    const struct rn_op op = { .kind = (int)kind, .count = count };
    rn_span_begin(&op);
    rn_span_end();
}

/* The spans of a track, in the order in which they began, as "a(b c) d"; parents are told by depth. */
static void outline(char out[512], const struct rn_recording *r, int track)
{
    const struct rn_track *t = &r->track[track];
    int depth = 0;
    *out = 0;
    for (size_t k = 0; k < t->events; k++) {
        const struct rn_event *next = NULL;
        for (size_t i = 0; i < t->events; i++) {
            const struct rn_event *e = &t->event[i];
            size_t earlier = 0;
            for (size_t j = 0; j < t->events; j++)
                earlier += t->event[j].begin < e->begin || (t->event[j].begin == e->begin &&
                           (t->event[j].depth < e->depth || (t->event[j].depth == e->depth && j < i)));
            if (earlier == k) next = e;
        }
        if (!next) return;
        const char *join = next->depth > depth ? "(" : *out ? " " : "";
        for (; depth > next->depth; depth--) strcat(out, ")");
        strcat(strcat(out, join), r->site[next->site].name);
        depth = next->depth;
    }
    for (; depth > 0; depth--) strcat(out, ")");
}

/* -- the recorder -------------------------------------------------------------------------------- */

static void test_nothing_is_on(void)
{
    rn_mark_begin("nobody sees this");
    call(RN_OP_RELU, 1);
    rn_mark_end();
    rn_mark_end(); /* one too many is ignored */
    CHECK(rn_marks() == NULL);
}

static void test_nesting(void)
{
    struct rn_recorder *r = recorder(100, 1);
    char got[512];
    rn_mark_begin("before");
    rn_recorder_start(r);
    rn_mark_end(); /* of what nobody saw begin */
    rn_mark_begin("a");
    rn_mark_begin("b");
    rn_mark_end();
    call(RN_OP_RELU, 3);
    rn_mark_end();
    rn_mark_begin("c");
    rn_mark_end();
    rn_mark_begin("open");
    rn_recorder_stop(r);
    rn_mark_end();
    outline(got, rn_recorder_recording(r), 0);
    CHECK_MSG(!strcmp(got, "a(b aten::relu) c"), "%s", got);
    rn_recorder_free(r);
}

/* Weights and data of one layer are one convolution_backward; of another layer, or after anything else, another. */
static void test_groups(void)
{
    struct rn_recorder *r = recorder(100, 1);
    char got[512];
    rn_recorder_start(r);
    rn_mark_begin("backward");
    rn_marks()->layer(0, "x", NULL);
    call(RN_OP_CONV_WEIGHTS, 0);
    call(RN_OP_PACK_BACK, 0);
    call(RN_OP_CONV_DATA, 0);
    rn_marks()->layer(1, "y", NULL);
    call(RN_OP_CONV_WEIGHTS, 0);
    call(RN_OP_BN_BACK, 0);
    call(RN_OP_CONV_WEIGHTS, 0);
    rn_mark_end();
    rn_recorder_stop(r);
    const struct rn_recording *rec = rn_recorder_recording(r);
    outline(got, rec, 0);
    CHECK_MSG(!strcmp(got, "backward(aten::convolution_backward(convolution_backward.weights "
                           "convolution_backward.pack_weights convolution_backward.data) "
                           "aten::convolution_backward(convolution_backward.weights) "
                           "aten::native_batch_norm_backward "
                           "aten::convolution_backward(convolution_backward.weights))"), "%s", got);
    for (size_t i = 0; i < rec->track[0].events; i++) { /* a group ends with the last of its own */
        const struct rn_event *e = &rec->track[0].event[i];
        if (strcmp(rec->site[e->site].name, "aten::convolution_backward")) continue;
        uint64_t last = 0;
        for (size_t k = 0; k < i; k++)
            if (rec->track[0].event[k].depth == e->depth + 1) last = rec->track[0].event[k].end;
        CHECK(e->end == last);
    }
    rn_recorder_free(r);
}

static void test_full(void)
{
    struct rn_recorder *r = recorder(3, 1);
    rn_recorder_start(r);
    for (int i = 0; i < 5; i++) call(RN_OP_RELU, i);
    for (int i = 0; i < 20; i++) rn_recorder_sample(r, "x", "x", rn_nanoseconds(), i);
    for (int i = 0; i < 100; i++) rn_mark_begin("deep");
    for (int i = 0; i < 100; i++) rn_mark_end();
    rn_recorder_stop(r);
    const struct rn_recording *rec = rn_recorder_recording(r);
    CHECK(rec->track[0].events == 3 && rec->track[0].dropped >= 2 && rec->samples == 16);
    CHECK(rn_recording_dropped(rec) == rec->lost + rec->track[0].dropped && rec->lost >= 4);
    rn_recorder_free(r);
}

static void *helper(void *arg)
{
    const struct rn_marks *marks = rn_marks();
    if (marks) marks->begin("prepare", arg);
    rn_mark_end();
    return NULL;
}

static void busy(void *arg, int64_t i, int worker)
{
    (void)arg, (void)i, (void)worker;
    const uint64_t begin = rn_nanoseconds();
    while (rn_nanoseconds() - begin < 200000) {}
}

static void in_team(void *arg)
{
    (void)arg;
    const struct rn_op op = { .kind = RN_OP_ADD };
    rn_span_begin(&op);
    rn_parallel(2, 64, busy, NULL);
    rn_span_end();
}

/* Threads of their own have tracks of their own; workers' spans bear the op's name and lie within it. */
static void test_threads(void)
{
    struct rn_recorder *r = recorder(1000, 8);
    pthread_t thread;
    rn_recorder_start(r);
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_create(&thread, NULL, helper, (void *)(i ? "reader" : "writer")) == 0);
        pthread_join(thread, NULL);
    }
    in_team(NULL);
    rn_with_team(2, in_team, NULL);
    rn_recorder_span(r, "epochs", "epoch 1", 0, rn_nanoseconds());
    rn_recorder_stop(r);
    const struct rn_recording *rec = rn_recorder_recording(r);
    CHECK(!strcmp(rec->track[0].name, "main") && rec->track[0].events == 2);
    CHECK(!strcmp(rec->track[1].name, "writer 1") && !strcmp(rec->track[2].name, "reader 1"));
    int workers = 0;
    for (int i = 3; i < rec->tracks; i++) {
        const struct rn_track *t = &rec->track[i];
        if (strcmp(t->name, "worker 1")) continue;
        workers++;
        for (size_t k = 0; k < t->events; k++) {
            bool within = false;
            for (int m = 0; m < 2; m++)
                within |= t->event[k].begin >= rec->track[0].event[m].begin &&
                          t->event[k].end <= rec->track[0].event[m].end;
            CHECK(within && !strcmp(rec->site[t->event[k].site].name, "aten::add"));
        }
    }
    CHECK(workers <= 1 && !strcmp(rec->track[rec->tracks - 1].name, "epochs"));
#ifdef _OPENMP
    CHECK(workers == 1);
#endif
    rn_recorder_free(r);
}

static void test_memory_fails(void)
{
    const struct rn_recorder_config c = { .events = 10, .tracks = 2, .samples = 4 };
    const struct rn_ops *ops = &rn_ops_ref;
    int place;
    void *dev = &place;
    struct rn_recorder *r;
    const uint64_t live = rn_alloc_live();
    for (uint64_t n = 1;; n++) {
        rn_alloc_fail_at(n, false);
        rn_status status = rn_recorder_create(&r, &c);
        rn_alloc_fail_at(0, false);
        CHECK(status == RN_OK || (status == RN_ENOMEM && !r));
        if (status == RN_OK) break;
    }
    rn_recorder_free(r);
    rn_alloc_fail_at(1, false);
    CHECK(rn_observe(&ops, &dev) == RN_ENOMEM && ops == &rn_ops_ref && dev == &place);
    rn_alloc_fail_at(0, false);
    CHECK(rn_alloc_live() == live);
}

/* All three arrays are in memory, not one and a page of zeros. */
static void test_bandwidth(void)
{
    const double before = rn_rss_mb(), rate = rn_memory_bandwidth(2);
    CHECK(rate > 0);
    CHECK(before <= 0 || rn_peak_rss_mb() >= before + 90);
    rn_peak_rss_reset();
    const double now = rn_rss_mb(), peak = rn_peak_rss_mb(); /* where the system does not let one, as it was */
    CHECK_MSG(now <= 0 || peak < now + 4 || peak >= before + 90, "%.1f of now %.1f MB", peak, now);
}

/* -- a training that is watched ------------------------------------------------------------------- */

static uint64_t train_as(struct rn_recorder *r, const struct rn_ops *table, int threads, int steps,
                         struct rn_train_config c)
{
    const struct rn_device_options o = { .threads = threads };
    const struct rn_ops *ops = table;
    struct rn_trainer *t;
    struct rn_step s;
    void *dev;
    CHECK_OK(ops->open(&dev, &o));
    if (r) CHECK_OK(rn_observe(&ops, &dev));
    CHECK(!r || (rn_observed(ops, dev) == table && ops->exact == table->exact && !strcmp(ops->name, table->name)));
    CHECK_OK(rn_trainer_create(&t, &c, ops, dev));
    if (r) rn_recorder_start(r);
    for (int i = 0; i < steps; i++) CHECK_OK(rn_trainer_step(t, &s));
    if (r) {
        rn_recorder_sample(r, "memory (MB)", "weights", rn_nanoseconds(), 1.5);
        rn_recorder_sample(r, "memory (MB)", "data", rn_nanoseconds(), 2);
        rn_recorder_sample(r, "memory (MB)", "weights", rn_nanoseconds(), 3);
        rn_recorder_stop(r);
    }
    const uint64_t hash = rn_net_hash(rn_trainer_net(t));
    rn_trainer_free(t);
    ops->close(dev);
    return hash;
}

static uint64_t train(struct rn_recorder *r, const struct rn_ops *table, int threads, int steps)
{
    return train_as(r, table, threads, steps, tiny_config());
}

static int64_t calls_of(const struct rn_profile *p, const char *name)
{
    for (int i = 0; i < p->ops; i++)
        if (!strcmp(p->op[i].name, name)) return p->op[i].calls;
    return 0;
}

/* What a backend's updates do besides updating has its own names, and the norm of the gradients is seen. */
static void test_beside_the_update(void)
{
    struct rn_recorder *r = recorder(10000, 8);
    struct rn_train_config c = tiny_config();
    struct rn_profile p;
    c.clip = 1e-6;
    c.average = true;
    c.average_decay = 0.9;
    c.average_steps = 1;
    train_as(r, &rn_ops_cpu, 1, 2, c);
    CHECK_OK(rn_profile_make(&p, rn_recorder_recording(r), "step", false));
    CHECK(calls_of(&p, "aten::_fused_adamw_") == 0); /* the optimiser is SGD */
    CHECK(calls_of(&p, "aten::_fused_sgd_") == calls_of(&p, "Optimizer.step"));
    CHECK(calls_of(&p, "aten::mul_") == 2 && calls_of(&p, "aten::lerp_") == 2 * 2); /* weights, running statistics */
    CHECK(calls_of(&p, "clip_grad_norm_") > 0);
    rn_profile_free(&p);
    rn_recorder_free(r);
}

static void test_same_bits(void)
{
    static const struct rn_ops *const table[] = { &rn_ops_cpu, &rn_ops_ref, &rn_ops_cpu_bf16 };
    for (size_t i = 0; i < RN_COUNT(table); i++) {
        struct rn_recorder *r = recorder(10000, 8);
        CHECK(train(r, table[i], 2, 3) == train(NULL, table[i], 1, 3));
        CHECK(rn_recording_dropped(rn_recorder_recording(r)) == 0);
        rn_recorder_free(r);
    }
}

/* Every op of a step is there, with the FLOPs that the net says it has. */
static void test_step(void)
{
    struct rn_recorder *r = recorder(10000, 8);
    struct rn_profile p;
    struct rn_net_config n = { .arch = tiny_arch(), .image_size = 32, .eval_batch = 1 };
    struct rn_net *net;
    void *dev;
    int64_t forward = 0, convs = 0;
    train(r, &rn_ops_cpu, 1, 2);
    CHECK_OK(rn_profile_make(&p, rn_recorder_recording(r), "step", false));
    CHECK_OK(rn_ops_cpu.open(&dev, &(struct rn_device_options){ .threads = 1 }));
    CHECK_OK(rn_net_create(&net, &n, &rn_ops_cpu, dev));
    for (int i = 0; i < p.ops; i++) {
        if (!strcmp(p.op[i].name, "aten::convolution")) convs = p.op[i].calls;
        if (!strcmp(p.op[i].name, "aten::convolution")) forward += p.op[i].flops;
        if (!strcmp(p.op[i].name, "aten::linear")) forward += p.op[i].flops - 2 * 4 * 3; /* less its biases */
    }
    CHECK(p.steps == 2 && convs == 2 * 6 && forward == 2 * 4 * 2 * rn_net_macs(net));
    CHECK(p.leaves_time <= p.steps_time && p.steps_time <= p.self);
    CHECK(p.layers == 6 + 6 + 4); /* and fc, two pools, and what is of no layer */
    rn_net_free(net);
    rn_ops_cpu.close(dev);
    rn_profile_free(&p);
    rn_recorder_free(r);
}

/* What is alive at a step is never more than there is room for, and the parts add up to the arena. */
static void test_net_memory(void)
{
    struct rn_net_config n = { .arch = tiny_arch(), .image_size = 32, .batch = 4, .eval_batch = 4 };
    struct rn_net_memory m;
    struct rn_net *net;
    void *dev;
    CHECK_OK(rn_ops_cpu.open(&dev, &(struct rn_device_options){ .threads = 1 }));
    for (int training = 0; training < 2; training++) {
        n.batch = training ? 4 : 0;
        CHECK_OK(rn_net_create(&net, &n, &rn_ops_cpu, dev));
        CHECK_OK(rn_net_memory(&m, net, training));
        bool gradients = false, backward = false;
        for (int i = 0; i < m.points; i++) {
            const struct rn_memory_point *p = &m.point[i];
            CHECK(p->activations + p->gradients + p->workspace <= m.block && *p->layer);
            gradients |= p->gradients > 0;
            backward |= p->backward;
        }
        CHECK(gradients == training && backward == training && m.peak >= 0 && m.peak < m.points);
        CHECK(m.weights >= sizeof(float) * rn_net_buffer_count(net) && !m.gradients == !training);
        CHECK(m.weights + m.gradients + m.packed + m.statistics + m.block + m.idle > m.arena);
        rn_net_memory_free(&m);
        rn_net_free(net);
    }
    rn_ops_cpu.close(dev);
}

/* -- the trace ------------------------------------------------------------------------------------ */

static double number(const struct rn_value *event, const char *key)
{
    const struct rn_value *v = rn_dict_get(event, key);
    CHECK_MSG(v && (v->kind == RN_REAL || v->kind == RN_INT), "no number %s", key);
    return !v ? 0 : v->kind == RN_INT ? (double)v->integer : v->real;
}

/* Spans of a track come in the order of their begins, and each ends within the one it began in. */
static void check_span(const struct rn_value *e, double last[64], double open[64][32], int depth[64])
{
    const int tid = (int)number(e, "tid");
    const double begin = number(e, "ts"), end = begin + number(e, "dur");
    CHECK(tid > 0 && tid < 64 && begin >= last[tid] && end >= begin); /* thread 0 is none */
    last[tid] = begin;
    while (depth[tid] && begin >= open[tid][depth[tid] - 1] - 1e-6) depth[tid]--;
    CHECK(!depth[tid] || end <= open[tid][depth[tid] - 1] + 1e-6);
    open[tid][depth[tid]++] = end;
}

static void test_trace(void)
{
    static double last[64], open[64][32];
    static int depth[64];
    const char *folder = make_folder();
    char path[128], *at;
    struct rn_recorder *r = recorder(10000, 8);
    unsigned char *text;
    size_t bytes;
    struct rn_value *root;
    int spans = 0, names = 0, points = 0;
    train(r, &rn_ops_cpu, 2, 2);
    const struct rn_recording *rec = rn_recorder_recording(r);
    snprintf(path, sizeof path, "%s/trace.json", folder);
    CHECK_OK(rn_trace_write(path, rec, "name", "a \"title\""));
    CHECK_OK(rn_file_read(&text, &bytes, path, 1 << 26));
    CHECK_OK(rn_json_parse(&root, (const char *)text, bytes, path));
    const struct rn_value *list = rn_dict_get(root, "traceEvents");
    CHECK(list && list->kind == RN_LIST);
    for (size_t i = 0; list && i < list->count; i++) {
        const struct rn_value *e = list->item[i], *ph = rn_dict_get(e, "ph");
        CHECK(ph && ph->kind == RN_STRING && rn_dict_get(e, "name"));
        if (*ph->text == 'X') check_span(e, last, open, depth);
        spans += *ph->text == 'X';
        names += *ph->text == 'M';
        points += *ph->text == 'C';
    }
    int recorded = 0;
    for (int i = 0; i < rec->tracks; i++) recorded += (int)rec->track[i].events;
    CHECK(spans == recorded && spans > 100 && names == 2 + 2 * rec->tracks && points == 2);
    CHECK(strstr((const char *)text, "\"args\":{\"weights\":1.500,\"data\":2.000}") != NULL);
    /* The thread that has the process's number is its main thread. */
    CHECK(strstr((const char *)text, "\"pid\":1,\"tid\":1,\"args\":{\"name\":\"main\"}}") != NULL);
    at = strstr((char *)text, "Input Shapes");
    CHECK(at && strstr((const char *)text, "\"layer\":\"layer1.0.conv1\"") != NULL);
    rn_value_free(root);
    rn_free(text);
    remove_folder(folder);
    rn_recorder_free(r);
}

static void test_trace_cannot_be_written(void)
{
    const char *folder = make_folder();
    char path[128];
    struct rn_recorder *r = recorder(10, 1);
    snprintf(path, sizeof path, "%s/gone/trace.json", folder);
    CHECK(rn_trace_write(path, rn_recorder_recording(r), "name", "x") == RN_EIO && strstr(rn_error(), "gone"));
    snprintf(path, sizeof path, "%s/trace.json", folder);
    for (uint64_t n = 1; n < 8; n++) {
        rn_alloc_fail_at(n, true);
        rn_status status = rn_trace_write(path, rn_recorder_recording(r), "name", "x");
        rn_alloc_fail_at(0, false);
        CHECK(status == RN_OK || (status == RN_ENOMEM && !rn_path_exists(path)));
        if (status == RN_OK) break;
    }
    remove_folder(folder);
    rn_recorder_free(r);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row row[] = {
        RN_TEST_ROW(test_nothing_is_on), RN_TEST_ROW(test_nesting),           RN_TEST_ROW(test_groups),
        RN_TEST_ROW(test_full),          RN_TEST_ROW(test_threads),           RN_TEST_ROW(test_bandwidth),
        RN_TEST_ROW(test_memory_fails),  RN_TEST_ROW(test_same_bits),         RN_TEST_ROW(test_beside_the_update),
        RN_TEST_ROW(test_step),          RN_TEST_ROW(test_net_memory),        RN_TEST_ROW(test_trace),
        RN_TEST_ROW(test_trace_cannot_be_written),
    };
    return rn_test_main("test_profile", row, RN_COUNT(row), argc, argv);
}
