/*
 * measure.c - measures a machine with the loops of loops.h.
 *
 * A peak is the best of all tries.  Everything else is measured once in every one of many rounds, some seconds in
 * all, and the best quarter's last is taken (of the overlap, a ratio, the median): other users of the machine only
 * make things slower, and may stay for a second, but what is reached once in a while is not what a projection needs.
 * A level's bandwidth is that of using half of what it holds, main memory's of four times the last level.  The first
 * level is read by who has it; in those behind it lies what the operation before has left there, and that was written
 * by all workers: so the loops read, and add to, what all have just written.  Where two cores have no cache in common
 * that is much slower, and a virtual machine does not say whether they have.
 */
#define _POSIX_C_SOURCE 200809L

#include "analyze/measure.h"

#include "analyze/analyze.h"
#include "analyze/loops.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/quantile.h"
#include "base/threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS RN_MEASURE_ROUNDS
#define USUAL(rounds) ((rounds) / 4) /* of sorted samples, the best first */
#define PANEL_FLOATS ((size_t)65536) /* 256 KB: a share of any second level */
#define SLICE_FLOATS (PANEL_FLOATS / 2)
#define FED_PANELS 1024       /* a few milliseconds */
#define TILES 5000            /* stored in a try, at most */
#define TILE_STEPS 64         /* the least that a convolution adds up for a result */
#define ROW 256               /* floats: the channels of a pixel */
#define BLOCK 96              /* rows */
#define PIECE ((size_t)BLOCK * ROW) /* floats that one worker writes in a row */
#define REUSE 8               /* tiles that use a slice: of a map of 7x7, the smallest of a net */
#define EXCHANGES 10          /* of a field, in a try */
#define READ_BYTES 16e6       /* that a worker reads in a try, about */
#define MAIN_BYTES (128.0 * 1024 * 1024)
#define LAUNCHES 500

/* What is measured with: of every worker a head (a panel, values, sums, factors), and behind them one field to move
 * data in, of which a worker goes through one part of as many. */
struct bench {
    const struct rn_loops *loops;
    int threads;
    float *memory, *field;
    size_t part;                     /* floats of a worker's part of what this measurement goes through */
    int64_t count;                   /* of tiles, or of times through the part */
    double seconds[RN_MAX_THREADS];
    float sink[RN_MAX_THREADS];
};

#define VALUES (RN_LOOP_VALUES * RN_LOOP_ROWS)
#define ROW_MOST (RN_LOOP_VECTORS * RN_LOOP_LANES)
#define SUMS (RN_LOOP_ROWS * ROW_MOST)
#define HEAD (PANEL_FLOATS + VALUES + SUMS + 2 * ROW_MOST)

static float *panel_of(const struct bench *b, int worker) { return b->memory + (size_t)worker * HEAD; }
static float *values_of(const struct bench *b, int worker) { return panel_of(b, worker) + PANEL_FLOATS; }
static float *sums_of(const struct bench *b, int worker) { return values_of(b, worker) + VALUES; }
static float *factors_of(const struct bench *b, int worker) { return sums_of(b, worker) + SUMS; }
static float *part_of(const struct bench *b, int worker) { return b->field + (size_t)worker * b->part; }

/* Pages that nobody wrote are all one page of zeros, and always near. */
static void write_head(void *arg, int64_t i, int worker)
{
    struct bench *b = arg;
    float *head = panel_of(b, worker);
    (void)i;
    for (size_t k = 0; k < HEAD; k++) head[k] = 1e-3f;
}

/* Writes all parts, piece by piece in turn: as the tasks of an operation are, so that of what a worker reads next the
 * others have written their share. */
static void write_field(void *arg, int64_t i, int worker)
{
    struct bench *b = arg;
    const size_t all = b->part * (size_t)b->threads;
    (void)i;
    for (size_t at = (size_t)worker * PIECE; at < all; at += (size_t)b->threads * PIECE)
        for (size_t k = at, end = RN_MIN(at + PIECE, all); k < end; k++) b->field[k] = 1e-3f;
}

/* Bytes of the field, a multiple of what a loop takes at once for each worker. */
static void set_parts(struct bench *b, double bytes)
{
    b->part = (size_t)(bytes / (double)sizeof(float)) / (size_t)b->threads / 256 * 256;
}

/* The mean of the workers' seconds: each looks at its own clock. */
static double seconds_of(struct bench *b, rn_task *task)
{
    double sum = 0;
    rn_every_worker(b->threads, task, b);
    for (int i = 0; i < b->threads; i++) sum += b->seconds[i];
    return sum / b->threads;
}

/* -- the measurements ------------------------------------------------------------------------------ */

/* count times a tile over the whole panel. */
static void fed_task(void *arg, int64_t i, int worker)
{
    struct bench *b = arg;
    const int64_t steps = (int64_t)(PANEL_FLOATS / rn_loop_row(b->loops));
    const double begin = rn_seconds();
    (void)i;
    for (int64_t n = 0; n < b->count; n++)
        b->loops->tile(sums_of(b, worker), panel_of(b, worker), values_of(b, worker), steps);
    b->seconds[worker] = rn_seconds() - begin;
}

static double measure_fed(struct bench *b)
{
    const double flops = rn_loop_flops(b->loops) * (double)(PANEL_FLOATS / rn_loop_row(b->loops));
    b->count = RN_MAX(1, FED_PANELS * b->loops->lanes / RN_LOOP_LANES);
    return flops * (double)b->count * b->threads / seconds_of(b, fed_task);
}

static void read_task(void *arg, int64_t i, int worker)
{
    struct bench *b = arg;
    float *part = part_of(b, worker), sum = 0;
    const double begin = rn_seconds();
    (void)i;
    for (int64_t n = 0; n < b->count; n++) {
        sum += b->loops->read(part, b->part);
        part[n % 16] = sum; /* or reading once were enough */
    }
    b->seconds[worker] = rn_seconds() - begin;
    b->sink[worker] = sum;
}

/* Bytes a second of reading `bytes` in all: over and over, what only the reader has; or, exchanged, once what all have
 * just written. */
static double measure_reads(struct bench *b, double bytes, bool exchanged)
{
    double seconds = 0;
    set_parts(b, bytes);
    const double size = (double)(b->part * sizeof(float));
    const int64_t times = RN_MAX(1, (int64_t)(READ_BYTES / size));
    b->count = exchanged ? 1 : times;
    for (int64_t n = exchanged ? RN_MIN(times, EXCHANGES) : 1; n > 0; n--) {
        if (exchanged) rn_every_worker(b->threads, write_field, b);
        seconds += seconds_of(b, read_task) / (exchanged ? (double)RN_MIN(times, EXCHANGES) : 1);
    }
    return size * (double)b->count * b->threads / seconds;
}

/* A matrix of results has rows of ROW floats; a block of it, BLOCK rows, is done column by column of tiles. */
static size_t place_of_tile(size_t n, size_t row)
{
    const size_t down = BLOCK / RN_LOOP_ROWS, across = ROW / row, in = n % (down * across);
    return (n / (down * across) * BLOCK + in % down * RN_LOOP_ROWS) * ROW + in / down * row;
}

/* count tiles of TILE_STEPS along the panel, each added to what its place in the first half of the part holds, and
 * stored in the second. */
static void results_task(void *arg, int64_t i, int worker)
{
    struct bench *b = arg;
    const struct rn_loops *l = b->loops;
    const size_t row = rn_loop_row(l), slices = PANEL_FLOATS / row / TILE_STEPS;
    const double begin = rn_seconds();
    (void)i;
    for (int64_t n = 0; n < b->count; n++) {
        float *at = part_of(b, worker) + place_of_tile((size_t)n, row);
        l->tile(sums_of(b, worker), panel_of(b, worker) + (size_t)n % slices * TILE_STEPS * row, values_of(b, worker),
                TILE_STEPS);
        l->finish(at + b->part / 2, at, ROW, sums_of(b, worker), factors_of(b, worker));
    }
    b->seconds[worker] = rn_seconds() - begin;
}

/* Bytes a second of results, in a field of `bytes` that all have just written: what the tiles take longer than their
 * multiply-adds.  0 where half a part is less than a block. */
static double measure_results(struct bench *b, double bytes, double fed)
{
    const size_t tile = RN_LOOP_ROWS * rn_loop_row(b->loops);
    double seconds = 0;
    set_parts(b, bytes);
    b->count = (int64_t)(b->part / 2 / (BLOCK * ROW) * (BLOCK * ROW / tile));
    if (b->count == 0) return 0;
    b->count = RN_MIN(b->count, TILES);
    const int times = (int)RN_MIN(RN_MAX(1, TILES / b->count), EXCHANGES);
    for (int n = 0; n < times; n++) {
        rn_every_worker(b->threads, write_field, b);
        seconds += seconds_of(b, results_task) / times;
    }
    const double alone = rn_loop_flops(b->loops) * TILE_STEPS * (double)b->count * b->threads / fed;
    const double bytes_each = 2.0 * (double)(tile * sizeof(float)) * (double)b->count;
    return bytes_each * b->threads / RN_MAX(seconds - alone, 1e-3 * alone);
}

/* The part as panels: every slice is used REUSE times, then comes the next. */
static void stream_task(void *arg, int64_t i, int worker)
{
    struct bench *b = arg;
    const int64_t steps = (int64_t)(SLICE_FLOATS / rn_loop_row(b->loops));
    const float *at = part_of(b, worker);
    const double begin = rn_seconds();
    (void)i;
    for (int64_t slice = 0; slice < b->count; slice++, at += SLICE_FLOATS)
        for (int n = 0; n < REUSE; n++) b->loops->tile(sums_of(b, worker), at, values_of(b, worker), steps);
    b->seconds[worker] = rn_seconds() - begin;
}

/* In parts of `bytes`, of which the first is in no cache: all were read since, to the last.  Narrow vectors take longer
 * and so get less of them. */
static double measure_overlap(struct bench *b, double bytes, double fed, double main_read)
{
    set_parts(b, bytes);
    b->count = (int64_t)(b->part / SLICE_FLOATS) * b->loops->lanes / RN_LOOP_LANES;
    const double floats = (double)b->count * SLICE_FLOATS * b->threads;
    const double computing = rn_loop_flops(b->loops) * floats / (double)rn_loop_row(b->loops) * REUSE / fed;
    const double moving = floats * sizeof(float) / main_read;
    const double hidden = computing + moving - seconds_of(b, stream_task);
    return RN_MAX(0, RN_MIN(1, hidden / RN_MIN(computing, moving)));
}

/* -- launching ------------------------------------------------------------------------------------- */

/* One short tile for every worker; nothing that memory could delay. */
static void short_task(void *arg, int64_t i, int worker)
{
    struct bench *b = arg;
    (void)worker;
    b->loops->tile(sums_of(b, (int)i), panel_of(b, (int)i), values_of(b, (int)i), 4 * TILE_STEPS);
}

static void launch(void *arg)
{
    struct bench *b = arg;
    for (int i = 0; i < LAUNCHES; i++) rn_parallel(b->threads, b->threads, short_task, b);
}

static double measure_launch(struct bench *b)
{
    double begin = rn_seconds();
    for (int i = 0; i < LAUNCHES; i++) short_task(b, 0, 0);
    const double alone = rn_seconds() - begin;
    begin = rn_seconds();
    rn_with_team(b->threads, launch, b);
    return RN_MAX(0, rn_seconds() - begin - alone) / LAUNCHES;
}

/* -- capacities ------------------------------------------------------------------------------------ */

/* A line of a file of cpu0's cache `index`; false where the system has none. */
static bool cache_line(char line[32], int index, const char *name)
{
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index, name);
    FILE *f = fopen(path, "r");
    bool read = f && fgets(line, 32, f);
    if (f) fclose(f);
    return read;
}

/* Bytes of a level for all threads together, as Linux says; 0 where nobody does. */
static double level_bytes(int level, int threads)
{
    static const int number[RN_MEMORY_LEVELS] = { 1, 0, 2, 3, 0 };
    char line[32];
    for (int i = 0; number[level] && i < 8; i++) {
        if (!cache_line(line, i, "level") || atoi(line) != number[level]) continue;
        if (!cache_line(line, i, "type") || line[0] == 'I' || !cache_line(line, i, "size")) continue;
        const double kilobytes = atoi(line), bytes = 1024 * (strchr(line, 'M') ? 1024 * kilobytes : kilobytes);
        return level == 3 ? bytes : bytes * threads; /* the third is shared */
    }
    return 0;
}

static double find_capacities(struct rn_measured *m, int threads)
{
    double last = 0;
    for (int i = 0; i < RN_MEMORY_LEVELS; i++) {
        m->capacity[i] = level_bytes(i, threads);
        if (m->capacity[i] <= last) m->capacity[i] = 0;
        last = RN_MAX(last, m->capacity[i]);
    }
    return last;
}

/* -- all of it ------------------------------------------------------------------------------------- */

#define SAMPLES (2 * RN_MEMORY_LEVELS + 5)

/* One round into column `round`; the order is that of collect(). */
static void take_round(double sample[SAMPLES][ROUNDS], int round, struct bench *b, const struct rn_measured *m,
                       double main_bytes)
{
    int k = 0;
    const double fed = sample[k++][round] = measure_fed(b);
    for (int i = 0; i < RN_MEMORY_LEVELS; i++) {
        const bool known = m->capacity[i] > 0;
        sample[k++][round] = known ? measure_reads(b, m->capacity[i] / 2, i > 0) : 0;
        sample[k++][round] = known ? measure_results(b, m->capacity[i] / 2, fed) : 0;
    }
    const double main_read = sample[k++][round] = measure_reads(b, main_bytes, false);
    sample[k++][round] = measure_overlap(b, main_bytes, fed, main_read);
    sample[k++][round] = measure_results(b, main_bytes, fed);
    sample[k][round] = measure_launch(b);
}

static void collect(struct rn_measured *m, double sample[SAMPLES][ROUNDS], int rounds)
{
    const int most = rounds - 1 - USUAL(rounds); /* of rates: sorted, the highest come last */
    int k = 0;
    for (int i = 0; i < SAMPLES; i++) rn_sort(sample[i], rounds);
    m->fed = sample[k++][most];
    for (int i = 0; i < RN_MEMORY_LEVELS; i++) {
        m->read[i] = sample[k++][most];
        m->results[i] = sample[k++][most];
    }
    m->main_read = sample[k++][most];
    m->overlap = sample[k++][rounds / 2];
    m->main_results = sample[k++][most];
    m->launch = sample[k][USUAL(rounds)];
}

rn_status rn_measure(struct rn_measured *m, int threads, const char *isa, int rounds)
{
    double sample[SAMPLES][ROUNDS];
    *m = (struct rn_measured){ 0 };
    threads = RN_MIN(threads, RN_MAX_THREADS);
    struct bench b = { .loops = rn_loops_named(isa), .threads = threads };
    if (!b.loops) return rn_fail(RN_EFAIL, "there is no loop to measure %s with", isa);
    const double main_bytes = RN_MAX(MAIN_BYTES, 4 * find_capacities(m, threads));
    b.memory = rn_alloc_array((size_t)threads * HEAD + (size_t)(main_bytes / sizeof(float)), sizeof(float));
    if (!b.memory) return RN_ENOMEM;
    b.field = b.memory + (size_t)threads * HEAD;
    rn_every_worker(threads, write_head, &b);
    set_parts(&b, main_bytes);
    rn_every_worker(threads, write_field, &b);
    for (int round = 0; round < rounds; round++) {
        const double peak = 1e9 * rn_peak_gflops(threads, strcmp(isa, "amx") ? isa : "avx512");
        m->peak[RN_FP32] = RN_MAX(m->peak[RN_FP32], peak);
        for (int p = RN_FP16; p < RN_PRECISIONS; p++)
            m->peak[p] = RN_MAX(m->peak[p], rn_peak_narrow(threads, isa, (enum rn_precision)p));
        take_round(sample, round, &b, m, main_bytes);
    }
    rn_free(b.memory);
    collect(m, sample, rounds);
    m->peak[RN_FP32] = RN_MAX(m->peak[RN_FP32], m->fed);
    return RN_OK;
}
