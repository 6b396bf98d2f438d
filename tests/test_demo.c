/*
 * test_demo.c - the built-in data set: its bytes are the same everywhere, and it cannot be solved
 * by looking at pixels one by one.  Both classifiers that must fail on it are first shown to work
 * on pictures that can be solved that way.
 */
#define _POSIX_C_SOURCE 200809L
#include "tests/test.h"
#include "tests/test_images.h"

#include "base/mem.h"
#include "data/sets.h"

#include <zlib.h>

#define PIXELS (3 * 32 * 32)
#define CLASSES 10

/* -- the bytes --------------------------------------------------------------------------------- */

static void test_golden(void)
{
    static const struct { int side; uint32_t index, crc; } golden[] = {
        { 32, 0, 0xd647220d },
        { 32, 1, 0xd9562b63 },
        { 32, 7, 0x1977e02b },
        { 32, 9999, 0x3129059b },
        { 32, RN_DEMO_VAL, 0xeef096f2 },
        { 32, RN_DEMO_VAL + 1999, 0xebfd35e6 },
        { 64, 0, 0x4e76f61f },
        { 64, RN_DEMO_VAL + 1, 0xbb97bc54 },
        { 224, 0, 0x119a2afb },
        { 224, 999, 0x0584f59b },
        { 224, RN_DEMO_VAL, 0x2466c2bb },
    };
    uint8_t *image = rn_alloc(3 * 224 * 224);
    for (size_t i = 0; image && i < RN_COUNT(golden); i++) {
        int side = golden[i].side;
        rn_demo_image(image, side, golden[i].index);
        uint32_t crc = (uint32_t)crc32(0, image, (uInt)(3 * side * side));
        CHECK_MSG(crc == golden[i].crc, "{ %d, %" PRIu32 ", 0x%08" PRIx32 " }", side,
                  golden[i].index, crc);
    }
    rn_free(image);
}

static void check_set(const char *spec, int image_size, int side, int classes)
{
    struct rn_dataset *set;
    CHECK_OK(rn_dataset_open(&set, spec, &(struct rn_dataset_options){ .image_size = image_size }));
    if (!set) return;
    size_t image = 3 * (size_t)side * (size_t)side;
    uint8_t *again = rn_alloc(image);
    CHECK(set->height == side && set->width == side && set->channels == 3);
    CHECK(set->classes == classes && set->train.count >= 1000 && set->val.count >= 250);
    for (int part = 0; again && part < 2; part++) {
        const struct rn_split *s = part ? &set->val : &set->train;
        double sum = 0, squares = 0, n = (double)s->count * (double)image;
        for (int64_t i = 0; i < s->count; i++) CHECK(s->labels[i] == i % classes);
        for (size_t i = 0; i < (size_t)s->count * image; i++) {
            sum += s->pixels[i];
            squares += s->pixels[i] * s->pixels[i];
        }
        double mean = sum / n / 255, std = sqrt(squares / n / 65025 - mean * mean);
        for (int k = 0; k < 3; k++)
            CHECK_MSG(fabs(mean - set->mean[k]) < 0.01 && fabs(std - set->std[k]) < 0.01,
                      "%s: mean %.4f std %.4f", spec, mean, std);
        rn_demo_image(again, side, (part ? RN_DEMO_VAL : 0) + 77);
        CHECK(memcmp(again, s->pixels + 77 * image, image) == 0);
    }
    rn_free(again);
    rn_dataset_close(set);
}

static void test_sets(void)
{
    check_set("demo", 0, 32, 10);
    check_set("demo", 64, 64, 2);
    check_set("demo:64", 0, 64, 2);
    check_set("demo:224", 224, 224, 2);
}

/* -- what must not solve it -------------------------------------------------------------------- */

/* Normalised pixels and labels, as a classifier sees them. */
struct samples { float *x; int32_t *y; int64_t count; };

static struct samples samples_of(const struct rn_dataset *set, const struct rn_split *split)
{
    struct samples s = { rn_alloc_array((size_t)split->count, PIXELS * sizeof(float)),
                         split->labels, split->count };
    for (int64_t i = 0; s.x && i < s.count; i++)
        normalised(s.x + i * PIXELS, split->pixels + i * PIXELS, 3, 32, 32, set->mean, set->std);
    return s;
}

/* The same with a faint pattern of its class added to each picture: easy. */
static void make_easy(struct samples s)
{
    for (int64_t i = 0; i < s.count; i++)
        for (int j = 0; j < PIXELS; j++)
            s.x[i * PIXELS + j] += (j * 7 + j / 32) % CLASSES == s.y[i] ? 0.7f : 0;
}

/* The model of both: score of class k is bias[k] + sum over j of x[j] weight[j][k]. */
struct linear { float weight[PIXELS][CLASSES], bias[CLASSES]; };

static void scores(float score[CLASSES], const struct linear *m, const float *x)
{
    memcpy(score, m->bias, sizeof m->bias);
    for (int j = 0; j < PIXELS; j++)
        for (int k = 0; k < CLASSES; k++) score[k] += x[j] * m->weight[j][k];
}

static double accuracy(const struct linear *m, struct samples s)
{
    int64_t correct = 0;
    for (int64_t i = 0; i < s.count; i++) {
        float score[CLASSES];
        int best = 0;
        scores(score, m, s.x + i * PIXELS);
        for (int k = 1; k < CLASSES; k++)
            if (score[k] > score[best]) best = k;
        correct += best == s.y[i];
    }
    return 100.0 * (double)correct / (double)s.count;
}

/* |x - mean|^2 is smallest where 2 x.mean - |mean|^2 is largest. */
static void nearest_mean(struct linear *m, struct samples s)
{
    int64_t count[CLASSES] = { 0 };
    memset(m, 0, sizeof *m);
    for (int64_t i = 0; i < s.count; i++) {
        for (int j = 0; j < PIXELS; j++) m->weight[j][s.y[i]] += s.x[i * PIXELS + j];
        count[s.y[i]]++;
    }
    for (int k = 0; k < CLASSES; k++)
        for (int j = 0; j < PIXELS; j++) {
            float mean = m->weight[j][k] / (float)count[k];
            m->bias[k] -= mean * mean;
            m->weight[j][k] = 2 * mean;
        }
}

/* Multinomial logistic regression by stochastic gradient descent in the order of an epoch's
 * shuffle, the rate falling linearly to zero. */
static void logistic_regression(struct linear *m, struct samples s, int epochs, float rate)
{
    uint32_t *order = rn_alloc_array((size_t)s.count, sizeof *order);
    memset(m, 0, sizeof *m);
    for (int e = 0; order && e < epochs; e++) {
        rn_shuffle(order, (uint32_t)s.count, 1, (uint32_t)e);
        for (int64_t i = 0; i < s.count; i++) {
            float g[CLASSES], sum = 0, max = -1e30f;
            const float *x = s.x + order[i] * (int64_t)PIXELS;
            float now = rate * (1 - (float)(e * s.count + i) / (float)(epochs * s.count));
            scores(g, m, x);
            for (int k = 0; k < CLASSES; k++) max = RN_MAX(max, g[k]);
            for (int k = 0; k < CLASSES; k++) sum += g[k] = expf(g[k] - max);
            for (int k = 0; k < CLASSES; k++) {
                g[k] = now * (g[k] / sum - (k == s.y[order[i]]));
                m->bias[k] -= g[k];
            }
            for (int j = 0; j < PIXELS; j++)
                for (int k = 0; k < CLASSES; k++) m->weight[j][k] -= x[j] * g[k];
        }
    }
    rn_free(order);
}

static void test_not_trivial(void)
{
    struct rn_dataset *set;
    static struct linear m;
    CHECK_OK(rn_dataset_open(&set, "demo", NULL));
    if (!set) return;
    struct samples train = samples_of(set, &set->train), val = samples_of(set, &set->val);
    CHECK(train.x && val.x);
    if (train.x && val.x) {
        nearest_mean(&m, train);
        double nearest = accuracy(&m, val);
        CHECK_MSG(nearest <= 25, "nearest class mean: %.1f %%", nearest);
        printf("test_demo: nearest class mean %.1f %%\n", nearest);
        for (int i = 0; i < 2; i++) { /* one that generalises better, one that learns by heart */
            logistic_regression(&m, train, 6, i ? 2e-3f : 2e-4f);
            double seen = accuracy(&m, train), unseen = accuracy(&m, val);
            CHECK_MSG(unseen <= 50, "logistic regression: %.1f %%", unseen);
            CHECK_MSG(seen > 35, "logistic regression, seen images: %.1f %%", seen);
            printf("test_demo: logistic regression %.1f %%, seen images %.1f %%\n", unseen, seen);
        }
        make_easy(train);
        make_easy(val);
        nearest_mean(&m, train);
        CHECK_MSG(accuracy(&m, val) > 90, "nearest class mean fails on easy pictures");
        logistic_regression(&m, train, 1, 1e-3f);
        CHECK_MSG(accuracy(&m, val) > 90, "logistic regression fails on easy pictures");
    }
    rn_free(train.x);
    rn_free(val.x);
    rn_dataset_close(set);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = { RN_TEST_ROW(test_golden), RN_TEST_ROW(test_sets),
                                               RN_TEST_ROW(test_not_trivial) };
    return rn_test_main("test_demo", rows, RN_COUNT(rows), argc, argv);
}
