#define _POSIX_C_SOURCE 200809L
/*
 * test_train_events.c - what a run leaves for others to look at and to check: TensorBoard's event file,
 * read back by a parser of its own; replays of runs that went on elsewhere; the files' names.
 */
#include "tests/test_train.h"

#include "base/file.h"
#include "observe/tensorboard.h"

#include <stdlib.h>
#include <unistd.h>

#define EVENTS "events.out.tfevents.0000000000.resnet"

static struct rn_run_config run_config(const char *folder)
{
    return (struct rn_run_config){ .output = folder, .name = "tiny", .conf = "", .tensorboard = true };
}

static unsigned char *read_bytes(const char *folder, const char *name, size_t *bytes)
{
    unsigned char *data = NULL;
    char *path = rn_path_join(folder, name);
    CHECK_OK(rn_file_read(&data, bytes, path, 1 << 20));
    rn_free(path);
    return data;
}

static void write_bytes(const char *folder, const char *name, const void *data, size_t bytes)
{
    char *path = rn_path_join(folder, name);
    CHECK_OK(rn_file_write(path, data, bytes));
    rn_free(path);
}

/* -- the event file ---------------------------------------------------------------------------- */

/* The examples of RFC 3720, B.4, and the usual check value. */
static void test_crc32c(void)
{
    unsigned char data[32];
    CHECK(rn_crc32c("", 0) == 0 && rn_crc32c("123456789", 9) == 0xe3069283u);
    memset(data, 0, 32);
    CHECK(rn_crc32c(data, 32) == 0x8a9136aau);
    memset(data, 255, 32);
    CHECK(rn_crc32c(data, 32) == 0x62a8ab43u);
    for (int i = 0; i < 32; i++) data[i] = (unsigned char)i;
    CHECK(rn_crc32c(data, 32) == 0x46dd794eu);
    for (int i = 0; i < 32; i++) data[i] = (unsigned char)(31 - i);
    CHECK(rn_crc32c(data, 32) == 0x113fdb5cu);
}

static uint64_t little(const unsigned char *p, int bytes)
{
    uint64_t x = 0;
    while (bytes--) x = x << 8 | p[bytes];
    return x;
}

/* One field of a message: its number, and its varint or the place and length of its bytes. */
struct field { int number; uint64_t value; const unsigned char *bytes; };

static uint64_t varint(const unsigned char **p)
{
    uint64_t x = 0;
    for (int shift = 0;; shift += 7) {
        x |= (uint64_t)(**p & 127) << shift;
        if (*(*p)++ < 128) return x;
    }
}

static struct field next_field(const unsigned char **p)
{
    uint64_t key = varint(p);
    struct field f = { .number = (int)(key >> 3), .bytes = *p };
    switch (key & 7) {
    case 0: f.value = varint(p); return f;
    case 1: f.value = 8; break;
    case 5: f.value = 4; break;
    default: f.value = varint(p); f.bytes = *p; break;
    }
    *p += f.value;
    return f;
}

struct scalar { int64_t step; double wall_time; char tag[32]; float value; };

/* All scalars of the file, whose frames must be sound; the first record must name the format. */
static int parse(struct scalar *out, int most, const unsigned char *data, size_t bytes)
{
    const unsigned char *p = data, *end = data + bytes;
    int count = 0, records = 0;
    while (p < end) {
        uint64_t length = little(p, 8);
        uint32_t head = rn_crc32c(p, 8), body = rn_crc32c(p + 12, (size_t)length);
        CHECK(little(p + 8, 4) == (uint32_t)((head >> 15 | head << 17) + 0xa282ead8u));
        CHECK(little(p + 12 + length, 4) == (uint32_t)((body >> 15 | body << 17) + 0xa282ead8u));
        const unsigned char *e = p + 12, *e_end = e + length;
        struct scalar s = {0};
        while (e < e_end) {
            struct field f = next_field(&e);
            if (f.number == 1) s.wall_time = rn_double(little(f.bytes, 8));
            if (f.number == 2) s.step = (int64_t)f.value;
            if (f.number == 3) CHECK(!records && f.value == 13 && !memcmp(f.bytes, "brain.Event:2", 13));
            if (f.number != 5) continue;
            for (const unsigned char *v = f.bytes, *v_end = v + f.value; v < v_end && count < most; count++) {
                struct field value = next_field(&v);
                const unsigned char *q = value.bytes;
                struct field tag = next_field(&q), x = next_field(&q);
                CHECK(value.number == 1 && tag.number == 1 && x.number == 2);
                memcpy(s.tag, tag.bytes, RN_MIN(tag.value, sizeof s.tag - 1));
                s.tag[RN_MIN(tag.value, sizeof s.tag - 1)] = '\0';
                s.value = rn_float((uint32_t)little(x.bytes, 4));
                out[count] = s;
            }
        }
        records++;
        p = e_end + 4;
    }
    return count;
}

static struct rn_train_config long_config(void)
{
    struct rn_train_config c = tiny_config();
    c.epochs = c.schedule.span = 4; /* twelve steps */
    return c;
}

/* A run into the folder, or its rest after a checkpoint in it. */
static void run_into(const char *folder, const struct rn_train_config *c, const char *resume)
{
    struct rn_run_config rc = run_config(folder);
    struct rn_observer quiet = {0};
    struct rn_checkpoint *file;
    struct rn_run *run;
    struct tiny x = tiny_begin(c, 1);
    if (resume) {
        CHECK_OK(rn_checkpoint_open(&file, resume));
        CHECK_OK(rn_trainer_resume(x.t, file, false));
        rn_checkpoint_free(file);
    }
    rc.resume = resume;
    rc.steps = rn_trainer_steps(x.t);
    rc.epochs = rn_trainer_epochs(x.t);
    rc.pending = rn_trainer_epoch_pending(x.t);
    CHECK_OK(rn_run_open(&run, &rc));
    CHECK_OK(rn_train(x.t, run, &quiet));
    rn_run_close(run);
    tiny_end(&x);
}

static void test_event_file(void)
{
    static const struct { int64_t step; const char *tag; } want[] = {
        { 1, "step/loss" }, { 1, "step/lr" },        { 3, "train/loss" }, { 3, "train/accuracy" },
        { 3, "train/lr" },  { 3, "val/loss" },       { 3, "val/accuracy" }, { 6, "train/loss" },
    };
    struct rn_train_config c = long_config();
    struct scalar s[64];
    size_t bytes;
    const char *folder = make_folder();
    run_into(folder, &c, NULL);
    unsigned char *data = read_bytes(folder, EVENTS, &bytes);
    int count = parse(s, 64, data, bytes);
    CHECK_MSG(count == 24, "%d scalars", count); /* steps 1 and 10, four epochs */
    for (size_t i = 0; i < RN_COUNT(want); i++)
        CHECK(s[i].step == want[i].step && !strcmp(s[i].tag, want[i].tag));
    for (int i = 0; i < count; i++) CHECK(s[i].wall_time == (double)s[i].step && s[i].value >= 0);
    CHECK(s[count - 1].step == 12 && !strcmp(s[count - 1].tag, "val/accuracy"));
    rn_free(data);
    remove_folder(folder);
}

/* Stopped after any number of steps and resumed, with a torn record at its end: the same bytes. */
static void test_events_resume(void)
{
    struct rn_train_config c = long_config(), part = c;
    size_t whole_bytes, bytes;
    const char *folder = make_folder();
    run_into(folder, &c, NULL);
    unsigned char *whole = read_bytes(folder, EVENTS, &whole_bytes);
    remove_folder(folder);
    for (int64_t stop = 0; stop <= 12; stop += 2) {
        folder = make_folder();
        part.max_steps = stop;
        run_into(folder, &part, NULL);
        unsigned char *data = read_bytes(folder, EVENTS, &bytes);
        CHECK(bytes <= whole_bytes && !memcmp(data, whole, bytes));
        /* What a killed run may leave: events beyond its checkpoint, the last of them cut short. */
        write_bytes(folder, EVENTS, whole, whole_bytes - 3);
        char last[128];
        snprintf(last, sizeof last, "%s/checkpoints/tiny_last.pth", folder);
        rn_free(data);
        run_into(folder, &c, last);
        data = read_bytes(folder, EVENTS, &bytes);
        if (stop < 12)
            CHECK_MSG(bytes == whole_bytes && !memcmp(data, whole, bytes), "resumed after step %d", (int)stop);
        rn_free(data);
        remove_folder(folder);
    }
    rn_free(whole);
}

/* Killed between an epoch's event and its checkpoint: the event is not doubled. */
static void test_events_pending(void)
{
    struct rn_train_config c = long_config();
    size_t whole_bytes, bytes;
    struct rn_step s;
    char last[128];
    const char *folder = make_folder();
    run_into(folder, &c, NULL);
    unsigned char *whole = read_bytes(folder, EVENTS, &whole_bytes);
    snprintf(last, sizeof last, "%s/checkpoints/tiny_last.pth", folder);
    struct tiny x = tiny_begin(&c, 1);
    for (int i = 0; i < 3; i++) CHECK_OK(rn_trainer_step(x.t, &s));
    CHECK_OK(rn_trainer_save(x.t, last));
    tiny_end(&x);
    run_into(folder, &c, last);
    unsigned char *data = read_bytes(folder, EVENTS, &bytes);
    CHECK(bytes == whole_bytes && !memcmp(data, whole, bytes));
    rn_free(data);
    rn_free(whole);
    remove_folder(folder);
}

/* A file that is not ours is begun anew; a finished run that is overwritten leaves no old curve. */
static void test_events_replaced(void)
{
    struct rn_events *events;
    size_t bytes;
    const char *folder = make_folder();
    write_bytes(folder, EVENTS, "not a record of anything", 24);
    CHECK_OK(rn_events_open(&events, folder, 5, false));
    rn_events_close(events);
    unsigned char *data = read_bytes(folder, EVENTS, &bytes);
    CHECK(bytes == 16 + 9 + 2 + 15);
    rn_free(data);
    rn_events_remove(folder);
    char *path = rn_path_join(folder, EVENTS);
    CHECK(!rn_path_exists(path));
    rn_free(path);
    CHECK(rn_events_open(&events, "/proc/nope", -1, false) == RN_EIO && !events);
    remove_folder(folder);
}

/* -- replays ----------------------------------------------------------------------------------- */
static rn_status replay(int64_t *lines, const struct rn_train_config *c, const char *folder, const char *from)
{
    struct rn_observer quiet = {0};
    struct rn_checkpoint *file;
    struct tiny x = tiny_begin(c, 2);
    if (from) {
        CHECK_OK(rn_checkpoint_open(&file, from));
        CHECK_OK(rn_trainer_resume(x.t, file, false));
        rn_checkpoint_free(file);
    }
    rn_status status = rn_replay(lines, x.t, folder, &quiet);
    tiny_end(&x);
    return status;
}

/* One digit of any step's hash or loss changed: the replay names that step. */
static void test_changed_digit(void)
{
    struct rn_train_config c = tiny_config();
    const char *folder = make_folder();
    int64_t lines;
    size_t bytes;
    char name[32];
    run_into(folder, &c, NULL);
    unsigned char *good = read_bytes(folder, "hashes.txt", &bytes);
    for (int step = 1; step <= 6; step++) {
        char *text = rn_strdup((char *)good);
        snprintf(name, sizeof name, "step %d ", step);
        char *line = strstr(text, name);
        char *digit = step % 2 ? strchr(line, '\n') - 1 : strstr(line, "0x1.") + 5;
        *digit = *digit == '7' ? '8' : '7';
        write_bytes(folder, "hashes.txt", text, bytes);
        CHECK(replay(&lines, &c, folder, NULL) == RN_ECHECK);
        snprintf(name, sizeof name, "differs at step %d:", step);
        CHECK_MSG(strstr(rn_error(), name), "%s", rn_error());
        CHECK(lines == step - 1 + (step > 3)); /* the epoch's line, too */
        rn_free(text);
    }
    rn_free(good);
    remove_folder(folder);
}

/* Resumed in its folder, a run still begins at step 1; in another, at the step it went on with, and can be
 * replayed from the checkpoint it went on from. */
static void test_replay_of_resumed(void)
{
    struct rn_train_config c = tiny_config(), part = c;
    const char *folder = make_folder();
    char last[128], elsewhere[128];
    int64_t lines, first = 0;
    part.max_steps = 4;
    run_into(folder, &part, NULL);
    snprintf(last, sizeof last, "%s/checkpoints/tiny_last.pth", folder);
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", folder);
    run_into(elsewhere, &c, last);
    CHECK_OK(rn_replay_first(&first, elsewhere));
    CHECK(first == 5);
    CHECK_OK(replay(&lines, &c, elsewhere, last));
    CHECK(lines == 2);
    CHECK_OK(replay(&lines, &c, elsewhere, NULL)); /* and from the beginning */
    run_into(folder, &c, last);
    CHECK_OK(rn_replay_first(&first, folder));
    CHECK(first == 1);
    CHECK_OK(replay(&lines, &c, folder, NULL));
    CHECK(lines == 7);
    remove_folder(folder);
}

/* The first twenty steps done in a folder are hashed, wherever the run stands then. */
static void test_late_continuation(void)
{
    struct rn_train_config c = tiny_config(), part = c;
    const char *folder = make_folder();
    char last[128], elsewhere[128];
    int64_t lines, first = 0;
    c.epochs = part.epochs = c.schedule.span = part.schedule.span = 30;
    c.hash_steps = part.hash_steps = false;
    part.max_steps = 25;
    c.max_steps = 50;
    run_into(folder, &part, NULL);
    snprintf(last, sizeof last, "%s/checkpoints/tiny_last.pth", folder);
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", folder);
    run_into(elsewhere, &c, last);
    CHECK_OK(rn_replay_first(&first, elsewhere));
    CHECK(first == 26);
    CHECK_OK(replay(&lines, &c, elsewhere, last));
    CHECK_MSG(lines == 20 + 6, "%d lines", (int)lines); /* and the six epochs that end before the last */
    CHECK(rn_first_step("epoch 1 step 3 loss 0x1p+0 weights 0\nstep 4 loss") == 4);
    CHECK(rn_first_step("") == 0 && rn_first_step("epoch 1 step 3") == 0);
    remove_folder(folder);
}

/* -- names ------------------------------------------------------------------------------------- */

/* Checkpoints in a folder of their own, the table under a second name; resumed and overwritten. */
static void test_names(void)
{
    struct rn_train_config c = tiny_config();
    struct rn_observer quiet = {0};
    const char *folder = make_folder();
    struct rn_run_config rc = run_config(folder);
    struct rn_run *run;
    size_t a_bytes, b_bytes;
    rc.name = "net/best of all";
    rc.csv = "table.csv";
    struct tiny x = tiny_begin(&c, 1);
    CHECK_OK(rn_run_open(&run, &rc));
    CHECK_OK(rn_train(x.t, run, &quiet));
    unsigned char *a = read_bytes(folder, "results.csv", &a_bytes), *b = read_bytes(folder, "table.csv", &b_bytes);
    CHECK(a_bytes == b_bytes && !memcmp(a, b, a_bytes));
    CHECK(strstr(rn_run_last(run), "/checkpoints/net/best of all_last.pth") && rn_path_exists(rn_run_last(run)));
    CHECK(rn_path_exists(rn_run_best(run)));
    struct rn_run *again;
    struct rn_run_config next = rc;
    next.resume = rn_run_last(run);
    next.output = NULL; /* its own folder, two levels above the checkpoint's */
    write_bytes(folder, "args.conf", "", 0);
    CHECK_OK(rn_run_open(&again, &next));
    CHECK(!strcmp(rn_run_folder(again), folder));
    rn_run_close(again);
    rc.overwrite = true;
    CHECK_OK(rn_run_open(&again, &rc));
    CHECK(!rn_path_exists(rn_run_last(run)) && !rn_path_exists(rn_run_best(run)));
    rn_run_close(again);
    rn_run_close(run);
    rn_free(a);
    rn_free(b);
    tiny_end(&x);
    remove_folder(folder);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_crc32c),          RN_TEST_ROW(test_event_file),    RN_TEST_ROW(test_events_resume),
        RN_TEST_ROW(test_events_pending),
        RN_TEST_ROW(test_events_replaced), RN_TEST_ROW(test_changed_digit), RN_TEST_ROW(test_replay_of_resumed),
        RN_TEST_ROW(test_late_continuation), RN_TEST_ROW(test_names),
    };
    return rn_test_main("test_train_events", rows, RN_COUNT(rows), argc, argv);
}
