/* profile_machine.c - how fast memory is: the triad a = b + s c, McCalpin's STREAM, the best of a few. */
#include "observe/profile.h"

#include "base/mem.h"
#include "base/threads.h"

#define FLOATS ((int64_t)8 << 20) /* of an array: 32 MB, and three of them */
#define ATTEMPTS 6

struct triad { float *a, *b, *c; };

static void work(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct triad *t = arg;
    (void)worker;
    for (int64_t i = begin; i < end; i++) t->a[i] = t->b[i] + 3.0f * t->c[i];
}

/* Pages that were only ever read are all the system's one page of zeros, which is in every cache. */
static void fill(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct triad *t = arg;
    (void)worker;
    for (int64_t i = begin; i < end; i++) t->a[i] = t->b[i] = t->c[i] = 1.0f;
}

double rn_memory_bandwidth(int threads)
{
    struct triad t = { rn_alloc_array(FLOATS, sizeof(float)), rn_alloc_array(FLOATS, sizeof(float)),
                       rn_alloc_array(FLOATS, sizeof(float)) };
    uint64_t best = UINT64_MAX;
    if (t.a && t.b && t.c) rn_parallel_range(threads, FLOATS, 1 << 16, fill, &t);
    for (int i = 0; t.a && t.b && t.c && i < ATTEMPTS; i++) {
        const uint64_t begin = rn_nanoseconds();
        rn_parallel_range(threads, FLOATS, 1 << 16, work, &t);
        best = RN_MIN(best, rn_nanoseconds() - begin);
    }
    rn_free(t.a);
    rn_free(t.b);
    rn_free(t.c);
    return best == UINT64_MAX || !best ? 0 : 3.0 * FLOATS * sizeof(float) / (double)best * 1e9 / (1024 * RN_MB);
}
