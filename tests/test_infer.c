/*
 * test_infer.c - inference-only nets: any batch gives the same bits, parts of a batch included;
 * batch norm folded into weights; parameters that live in packed form; two nets at once; and what
 * does not fit in memory is refused before anything is taken.
 */
#define _POSIX_C_SOURCE 200809L
#include "tests/test_net.h"

#include "base/available.h"
#include "base/mem.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#define IMAGES 67 /* three parts of a batch: 22, 22 and 23 */
#define CLASSES 5
#define IMAGE (3 * 32 * 32)

static float images[IMAGES * IMAGE];

/* An open device with an inference-only net whose parameters, running statistics too, are arbitrary. */
struct served { const struct rn_ops *ops; void *dev; struct rn_net *net; };

static void randomise(struct rn_net *net)
{
    const struct rn_param *row;
    size_t rows = rn_net_params(net, &row);
    for (size_t i = 0; i < rows; i++) {
        if (row[i].kind == RN_PARAM_BATCHES || row[i].kind == RN_PARAM_CONV) continue;
        float *x = rn_alloc_array(row[i].count, sizeof *x);
        test_fill(x, row[i].count, 10 + (uint32_t)i);
        if (row[i].kind == RN_PARAM_GAMMA || row[i].kind == RN_PARAM_VAR)
            for (size_t k = 0; k < row[i].count; k++) x[k] = x[k] * 0.5f + 1.0f;
        rn_net_set(net, i, x);
        rn_free(x);
    }
}

static struct rn_net *net_on(void *dev, const struct rn_net_config *c, const struct rn_ops *ops)
{
    struct rn_net *net = NULL;
    CHECK_OK(rn_net_create(&net, c, ops, dev));
    rn_net_init(net, 42);
    randomise(net);
    return net;
}

static struct served serve(const struct rn_net_config *c, const struct rn_ops *ops, int threads)
{
    const struct rn_device_options o = { .threads = threads };
    struct served s = { .ops = ops };
    CHECK_OK(ops->open(&s.dev, &o));
    s.net = net_on(s.dev, c, ops);
    return s;
}

static void end(struct served *s)
{
    rn_net_free(s->net);
    s->ops->close(s->dev);
}

static struct rn_net_config inference(bool bottleneck, enum rn_stem stem, int upsample)
{
    struct rn_net_config c = small(bottleneck, stem, upsample);
    c.batch = 0;
    c.eval_batch = IMAGES;
    return c;
}

/* -- bits -------------------------------------------------------------------------------------- */

/* Logits of all images in calls of n, through `net` of any kind. */
static void infer_by(float *logits, struct rn_net *net, int n)
{
    for (int i = 0; i < IMAGES; i += n)
        rn_net_infer(net, images + i * IMAGE, RN_MIN(n, IMAGES - i), logits + i * CLASSES);
}

static void check_every_batch(const struct rn_net_config *c)
{
    static const int batch[] = { 1, 2, 3, 7, 32, 33, IMAGES };
    static float want[IMAGES * CLASSES], got[IMAGES * CLASSES];
    struct served ref = serve(c, &rn_ops_ref, 1);
    infer_by(want, ref.net, IMAGES);
    end(&ref);
    for (int threads = 1; threads <= 3; threads += 2) {
        struct served cpu = serve(c, &rn_ops_cpu, threads);
        for (size_t b = 0; b < RN_COUNT(batch); b++) {
            infer_by(got, cpu.net, batch[b]);
            check_bits("a batch", got, want, RN_COUNT(want));
        }
        end(&cpu);
    }
}

static void test_any_batch_same_bits(void)
{
    struct rn_net_config c = inference(false, RN_STEM_IMAGENET, 0);
    check_every_batch(&c);
    c.fold = true;
    check_every_batch(&c);
    c = inference(true, RN_STEM_DEEP, 40);
    check_every_batch(&c);
    c.fold = true;
    check_every_batch(&c);
}

/* A net for training evaluates in the same parts, with the same bits, and its loss is of all images. */
static void test_training_net_evaluates_in_parts(void)
{
    static float want[IMAGES * CLASSES], got[IMAGES * CLASSES];
    static double loss[IMAGES], one[IMAGES];
    static int32_t labels[IMAGES];
    struct rn_net_config c = inference(false, RN_STEM_CIFAR, 0);
    struct served s = serve(&c, &rn_ops_cpu, 2);
    for (int i = 0; i < IMAGES; i++) labels[i] = i % CLASSES;
    infer_by(want, s.net, IMAGES);
    end(&s);

    c.batch = 2;
    s = serve(&c, &rn_ops_cpu, 2);
    infer_by(got, s.net, IMAGES);
    check_bits("a net for training", got, want, RN_COUNT(want));
    rn_net_loss(s.net, loss, labels, 0, 0);
    for (int i = 0; i < IMAGES; i++) {
        rn_net_forward(s.net, images + i * IMAGE, 1, false);
        rn_net_loss(s.net, &one[i], &labels[i], 0, 0);
        CHECK_MSG(loss[i] == one[i], "loss of image %d: %a instead of %a", i, loss[i], one[i]);
    }
    rn_net_forward(s.net, images, 2, true); /* takes the memory where packed weights were */
    infer_by(got, s.net, IMAGES);
    check_bits("after a training pass", got, want, RN_COUNT(want));
    end(&s);
}

/* -- folding ----------------------------------------------------------------------------------- */

static void test_folding(void)
{
    static float plain[IMAGES * CLASSES], folded[IMAGES * CLASSES], again[IMAGES * CLASSES];
    struct rn_net_config c = inference(true, RN_STEM_IMAGENET, 0);
    struct served s = serve(&c, &rn_ops_cpu, 2);
    infer_by(plain, s.net, IMAGES);
    const uint64_t hash = rn_net_hash(s.net);
    end(&s);

    c.fold = true;
    s = serve(&c, &rn_ops_cpu, 2);
    infer_by(folded, s.net, IMAGES);
    CHECK(rn_net_hash(s.net) == hash); /* what it gives out is not folded */
    double worst = 0, largest = 0;
    for (size_t i = 0; i < RN_COUNT(plain); i++) {
        worst = RN_MAX(worst, fabs((double)plain[i] - (double)folded[i]));
        largest = RN_MAX(largest, fabs((double)plain[i]));
    }
    CHECK_MSG(worst > 0 && worst < 1e-4 * largest, "folding changed %g of %g", worst, largest);

    const struct rn_param *row; /* a changed statistic reaches the folded weights */
    size_t rows = rn_net_params(s.net, &row), mean = 0;
    while (mean < rows && row[mean].kind != RN_PARAM_MEAN) mean++;
    float *x = rn_alloc_array(row[mean].count, sizeof *x);
    rn_net_set(s.net, mean, x);
    rn_free(x);
    infer_by(again, s.net, IMAGES);
    CHECK(memcmp(again, folded, sizeof again) != 0);
    end(&s);

    c.batch = 1;
    struct rn_net *none;
    void *dev;
    const struct rn_device_options o = { .threads = 1 };
    CHECK_OK(rn_ops_cpu.open(&dev, &o));
    CHECK(rn_net_create(&none, &c, &rn_ops_cpu, dev) == RN_EUSAGE);
    rn_ops_cpu.close(dev);
}

/* -- parameters in packed form ----------------------------------------------------------------- */

static void check_parameters(const struct rn_ops *ops, bool fold)
{
    struct rn_net_config c = inference(true, RN_STEM_DEEP, 0);
    c.fold = fold;
    struct served packed = serve(&c, ops, 1);
    c.fold = false;
    c.batch = 1;
    struct served plain = serve(&c, ops, 1);
    const struct rn_param *row;
    size_t rows = rn_net_params(plain.net, &row);
    CHECK(rn_net_weights(packed.net) == NULL && rn_net_gradients(packed.net) == NULL);
    CHECK(rn_net_weights(plain.net) != NULL);
    CHECK(rn_net_hash(packed.net) == rn_net_hash(plain.net));
    rn_net_infer(packed.net, images, 2, (float[2 * CLASSES]){ 0 }); /* runs over all scratch memory */
    for (size_t i = 0; i < rows; i++) {
        if (row[i].kind == RN_PARAM_BATCHES) continue;
        float *a = rn_alloc_array(row[i].count, sizeof *a);
        float *b = rn_alloc_array(row[i].count, sizeof *b);
        rn_net_get(packed.net, i, a);
        rn_net_get(plain.net, i, b);
        check_bits(row[i].name, a, b, row[i].count);
        a[row[i].count - 1] = 0.75f;
        rn_net_set(packed.net, i, a);
        rn_net_get(packed.net, i, b);
        check_bits(row[i].name, b, a, row[i].count);
        rn_free(a);
        rn_free(b);
    }
    CHECK(rn_net_hash(packed.net) != rn_net_hash(plain.net));
    end(&plain);
    end(&packed);
}

static void test_parameters_come_back(void)
{
    check_parameters(&rn_ops_ref, false);
    check_parameters(&rn_ops_cpu, false);
    check_parameters(&rn_ops_cpu, true);
}

/* Saved by an inference-only net, read by one for training and by a folded one, and back. */
static void test_files(void)
{
    char folder[] = "/tmp/test_infer_XXXXXX", path[64];
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/net.safetensors", folder);
    struct rn_net_config c = inference(false, RN_STEM_CIFAR, 0);
    struct served s = serve(&c, &rn_ops_cpu, 2);
    const uint64_t hash = rn_net_hash(s.net);
    CHECK_OK(rn_net_save(s.net, path));
    end(&s);
    for (int k = 0; k < 2; k++) {
        c.fold = k == 1;
        c.batch = k == 0;
        s = serve(&c, &rn_ops_cpu, 1);
        rn_net_init(s.net, 7);
        CHECK(rn_net_hash(s.net) != hash);
        CHECK_OK(rn_net_load(s.net, path));
        CHECK(rn_net_hash(s.net) == hash);
        CHECK_OK(rn_net_save(s.net, path));
        end(&s);
    }
    unlink(path);
    rmdir(folder);
}

/* -- two nets at once -------------------------------------------------------------------------- */

struct caller { struct rn_net *net; float logits[IMAGES * CLASSES]; };

static void *call(void *arg)
{
    struct caller *c = arg;
    for (int i = 0; i < 3; i++) infer_by(c->logits, c->net, 17 + i);
    return NULL;
}

/* Two nets on two devices, or both on the first of them. */
static void check_two_at_once(bool shared)
{
    static struct caller caller[2];
    static float alone[2][IMAGES * CLASSES];
    struct served served[2];
    pthread_t thread[2];
    for (int k = 0; k < 2; k++) {
        struct rn_net_config c = inference(k == 1, RN_STEM_IMAGENET, 0);
        c.fold = k == 1;
        served[k] = serve(&c, &rn_ops_cpu, 2);
        infer_by(alone[k], served[k].net, IMAGES);
        caller[k].net = shared && k ? net_on(served[0].dev, &c, &rn_ops_cpu) : served[k].net;
    }
    for (int k = 0; k < 2; k++) CHECK(pthread_create(&thread[k], NULL, call, &caller[k]) == 0);
    for (int k = 0; k < 2; k++) {
        CHECK(pthread_join(thread[k], NULL) == 0);
        check_bits(shared ? "beside another net of its device" : "beside another net", caller[k].logits,
                   alone[k], IMAGES * CLASSES);
    }
    if (shared) rn_net_free(caller[1].net);
    for (int k = 0; k < 2; k++) end(&served[k]);
}

static void test_two_nets_at_once(void)
{
    check_two_at_once(false);
    check_two_at_once(true);
}

/* -- settings that inference has no use for ------------------------------------------------------ */

static void test_only_training_keeps_activations(void)
{
    const struct rn_device_options o = { .threads = 1 };
    struct rn_net_config c = inference(false, RN_STEM_CIFAR, 0);
    struct rn_net *net = NULL;
    void *dev;
    CHECK_OK(rn_ops_cpu.open(&dev, &o));
    c.checkpoint = true;
    CHECK(rn_net_create(&net, &c, &rn_ops_cpu, dev) == RN_EUSAGE && !net);
    CHECK_MSG(strstr(rn_error(), "checkpoint-activations"), "%s", rn_error());
    c.batch = 1;
    CHECK_OK(rn_net_create(&net, &c, &rn_ops_cpu, dev));
    rn_net_free(net);
    rn_ops_cpu.close(dev);
}

/* -- memory ------------------------------------------------------------------------------------ */

static void refuse(struct rn_net_config *c, uint64_t there)
{
    const struct rn_device_options o = { .threads = 1 };
    char number[32];
    struct rn_net *net = NULL;
    void *dev;
    CHECK_OK(rn_ops_cpu.open(&dev, &o));
    const uint64_t live = rn_alloc_live();
    rn_memory_pretend(there);
    CHECK(rn_net_create(&net, c, &rn_ops_cpu, dev) == RN_ENOMEM);
    snprintf(number, sizeof number, "%" PRIu64 " are there", there);
    CHECK_MSG(strstr(rn_error(), number) && strstr(rn_error(), "bytes are needed"), "%s", rn_error());
    rn_memory_pretend(0);
    CHECK(net == NULL && rn_alloc_live() == live);
    rn_ops_cpu.close(dev);
}

/* The bytes of the message are those of the plan, however little there is. */
static void test_refusal_names_what_is_needed(void)
{
    struct rn_net_config c = { .image_size = 32, .batch = 64, .eval_batch = 1 };
    const struct rn_device_options o = { .threads = 1 };
    size_t bytes = 0;
    char number[32];
    struct rn_net *net;
    void *dev;
    CHECK_OK(rn_arch_named(&c.arch, "resnet18", RN_STEM_CIFAR, 10));
    CHECK_OK(rn_ops_cpu.open(&dev, &o));
    CHECK_OK(rn_net_arena_bytes(&bytes, &c, &rn_ops_cpu, dev));
    snprintf(number, sizeof number, " %zu bytes are needed", bytes);
    rn_memory_pretend(1000);
    CHECK(rn_net_create(&net, &c, &rn_ops_cpu, dev) == RN_ENOMEM);
    CHECK_MSG(strstr(rn_error(), number), "%s instead of%s", rn_error(), number);
    rn_memory_pretend(0);
    rn_ops_cpu.close(dev);
}

static void test_too_big_is_refused(void)
{
    struct rn_net_config c = config_of("resnet18", RN_STEM_IMAGENET, 1000, 224, 32);
    refuse(&c, (uint64_t)500 << 20);
    c.checkpoint = true;
    refuse(&c, (uint64_t)300 << 20);
    c.batch = 1;
    c.beside_arrays = 20; /* of 44.6 MB each */
    refuse(&c, (uint64_t)900 << 20);
    c.beside_arrays = 0;
    c.batch = 65536; /* more than can be planned, and more than any machine has */
    refuse(&c, (uint64_t)1 << 36);
    c.batch = 0;
    c.checkpoint = false;
    refuse(&c, (uint64_t)30 << 20);
    c.eval_batch = 65536;
    c.beside_bytes = (size_t)65536 * 3 * 224 * 224 * 4;
    refuse(&c, (uint64_t)1 << 34);
}

static void test_memory_limits_are_seen(void)
{
    struct rlimit before, limit;
    CHECK(rn_memory_available() > 0);
    CHECK(getrlimit(RLIMIT_AS, &before) == 0);
    limit = before;
    limit.rlim_cur = (rlim_t)1 << 29;
    if (before.rlim_max != RLIM_INFINITY && before.rlim_max < limit.rlim_cur) return;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    const uint64_t there = rn_memory_available();
    CHECK(setrlimit(RLIMIT_AS, &before) == 0);
    CHECK_MSG(there <= (uint64_t)1 << 29, "%" PRIu64 " bytes under a limit of half a gigabyte", there);
    CHECK(rn_memory_check(SIZE_MAX) == RN_ENOMEM);
    CHECK_OK(rn_memory_check(0));
}

int main(int argc, char **argv)
{
    static const struct rn_test_row row[] = {
        RN_TEST_ROW(test_any_batch_same_bits), RN_TEST_ROW(test_training_net_evaluates_in_parts),
        RN_TEST_ROW(test_folding), RN_TEST_ROW(test_parameters_come_back), RN_TEST_ROW(test_files),
        RN_TEST_ROW(test_two_nets_at_once), RN_TEST_ROW(test_only_training_keeps_activations),
        RN_TEST_ROW(test_refusal_names_what_is_needed), RN_TEST_ROW(test_too_big_is_refused),
        RN_TEST_ROW(test_memory_limits_are_seen),
    };
    test_fill(images, RN_COUNT(images), 0);
    return rn_test_main("test_infer", row, RN_COUNT(row), argc, argv);
}
