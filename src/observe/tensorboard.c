#define _POSIX_C_SOURCE 200809L
/*
 * tensorboard.c - event files written by hand: records as TensorFlow frames them, each holding one
 * message `Event` in the encoding of protocol buffers.
 *
 * A record: length (u64), masked CRC-32C of those 8 bytes, data, masked CRC-32C of the data, all
 * little-endian; the mask turns the CRC by 15 bits and adds a constant, so that a CRC of data that
 * holds CRCs stays sound.  Source: the sections "TFRecords format details" of TensorFlow's guide to
 * Python I/O, event.proto and summary.proto (field numbers below).
 */
#include "observe/tensorboard.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/real.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* TensorBoard takes every file with "tfevents" in its name. */
#define FILE_NAME "events.out.tfevents.0000000000.resnet"
#define FILE_LIMIT ((size_t)1 << 30)
#define STEP_INTERVAL 10

/* Field numbers: Event.wall_time = 1 (double), .step = 2, .file_version = 3, .summary = 5;
 * Summary.value = 1; Summary.Value.tag = 1, .simple_value = 2 (float). */
enum wire { VARINT = 0, EIGHT_BYTES = 1, LENGTH = 2, FOUR_BYTES = 5 };

struct rn_events { char *path; };

/* -- framing ----------------------------------------------------------------------------------- */
uint32_t rn_crc32c(const void *data, size_t bytes)
{
    const unsigned char *p = data;
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static uint32_t masked_crc(const void *data, size_t bytes)
{
    uint32_t crc = rn_crc32c(data, bytes);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static void add_little(struct rn_text *t, uint64_t x, int bytes)
{
    for (int i = 0; i < bytes; i++, x >>= 8) {
        unsigned char byte = (unsigned char)(x & 255);
        rn_text_bytes(t, &byte, 1);
    }
}

static uint64_t take_little(const unsigned char *p, int bytes)
{
    uint64_t x = 0;
    while (bytes--) x = x << 8 | p[bytes];
    return x;
}

static void add_record(struct rn_text *t, const struct rn_text *event)
{
    size_t head = t->length;
    add_little(t, event->length, 8);
    add_little(t, t->failed ? 0 : masked_crc(t->data + head, 8), 4);
    rn_text_bytes(t, event->data, event->length);
    add_little(t, masked_crc(event->data, event->length), 4);
    t->failed |= event->failed;
}

/* Bytes of the whole and sound record at p, 0 if there is none. */
static size_t record_bytes(const unsigned char *p, size_t left)
{
    if (left < 16 || take_little(p + 8, 4) != masked_crc(p, 8)) return 0;
    uint64_t length = take_little(p, 8);
    if (length > left - 16) return 0;
    bool sound = take_little(p + 12 + length, 4) == masked_crc(p + 12, (size_t)length);
    return sound ? (size_t)length + 16 : 0;
}

/* -- messages ---------------------------------------------------------------------------------- */
static void add_varint(struct rn_text *t, uint64_t x)
{
    for (; x > 127; x >>= 7) add_little(t, x | 128, 1);
    add_little(t, x, 1);
}

static void add_key(struct rn_text *t, int field, enum wire wire)
{
    add_varint(t, (uint64_t)(field << 3 | (int)wire));
}

static void add_bytes(struct rn_text *t, int field, const void *data, size_t bytes)
{
    add_key(t, field, LENGTH);
    add_varint(t, bytes);
    rn_text_bytes(t, data, bytes);
}

/* wall_time and step, the same number; every event begins with them, in this order. */
static void begin_event(struct rn_text *event, int64_t step)
{
    add_key(event, 1, EIGHT_BYTES);
    add_little(event, rn_bits64((double)step), 8);
    add_key(event, 2, VARINT);
    add_varint(event, (uint64_t)step);
}

/* The step of an event of ours, INT64_MAX if it does not begin like one. */
static int64_t step_of(const unsigned char *event, size_t bytes)
{
    uint64_t step = 0;
    if (bytes < 11 || event[0] != (1 << 3 | EIGHT_BYTES) || event[9] != (2 << 3 | VARINT))
        return INT64_MAX;
    for (size_t i = 10; i < bytes && i < 19; i++) {
        step |= (uint64_t)(event[i] & 127) << 7 * (i - 10);
        if (event[i] < 128) return (int64_t)step;
    }
    return INT64_MAX;
}

/* Whether an event of ours is an epoch's: its first tag says so. */
#define EPOCH_TAG "train/loss"
static bool of_epoch(const unsigned char *event, size_t bytes)
{
    const size_t length = sizeof EPOCH_TAG - 1;
    for (size_t i = 0; i + length <= bytes; i++)
        if (!memcmp(event + i, EPOCH_TAG, length)) return true;
    return false;
}

/* One scalar under `tag`, as a Summary.Value in `summary`. */
static void add_scalar(struct rn_text *summary, const char *tag, double x)
{
    struct rn_text value = {0};
    add_bytes(&value, 1, tag, strlen(tag));
    add_key(&value, 2, FOUR_BYTES);
    add_little(&value, rn_bits((float)x), 4);
    add_bytes(summary, 1, value.data, value.length);
    summary->failed |= value.failed;
    rn_text_free(&value);
}

/* -- the file ---------------------------------------------------------------------------------- */

/* One more record of the values in `summary`, which is freed. */
static rn_status append(const struct rn_events *e, int64_t step, struct rn_text *summary)
{
    struct rn_text event = {0}, record = {0};
    begin_event(&event, step);
    add_bytes(&event, 5, summary->data, summary->length);
    event.failed |= summary->failed;
    add_record(&record, &event);
    rn_status status = rn_text_status(&record);
    FILE *f = status ? NULL : fopen(e->path, "ab");
    if (status == RN_OK && !f) status = rn_fail(RN_EIO, "%s: %s", e->path, strerror(errno));
    if (f) {
        bool written = fwrite(record.data, 1, record.length, f) == record.length;
        if (fclose(f) || !written) status = rn_fail(RN_EIO, "%s: %s", e->path, strerror(errno));
    }
    rn_text_free(&event);
    rn_text_free(&record);
    rn_text_free(summary);
    return status;
}

/* The records of the earlier file that belong to what was done; none if it is not there or not ours. */
static void keep_records(struct rn_text *out, const char *path, int64_t steps, bool pending)
{
    unsigned char *data = NULL;
    size_t bytes, at = 0, record;
    if (!rn_path_exists(path) || rn_file_read(&data, &bytes, path, FILE_LIMIT)) return;
    for (; (record = record_bytes(data + at, bytes - at)); at += record) {
        const unsigned char *event = data + at + 12;
        int64_t step = step_of(event, record - 16);
        if (step < steps || (step == steps && !(pending && of_epoch(event, record - 16))))
            rn_text_bytes(out, data + at, record);
    }
    rn_free(data);
}

rn_status rn_events_open(struct rn_events **out, const char *folder, int64_t steps, bool pending)
{
    static const char version[] = "brain.Event:2";
    struct rn_text event = {0}, content = {0};
    *out = NULL;
    struct rn_events *e = rn_alloc(sizeof *e);
    if (!e) return RN_ENOMEM;
    rn_status status = (e->path = rn_path_join(folder, FILE_NAME)) ? RN_OK : RN_ENOMEM;
    if (status == RN_OK && steps >= 0) keep_records(&content, e->path, steps, pending);
    if (status == RN_OK && !content.length) {
        begin_event(&event, 0);
        add_bytes(&event, 3, version, sizeof version - 1);
        add_record(&content, &event);
    }
    if (status == RN_OK) status = rn_text_status(&content);
    if (status == RN_OK) status = rn_file_write(e->path, content.data, content.length);
    rn_text_free(&event);
    rn_text_free(&content);
    if (status) rn_events_close(e);
    else *out = e;
    return status;
}

void rn_events_close(struct rn_events *e)
{
    if (!e) return;
    rn_free(e->path);
    rn_free(e);
}

rn_status rn_events_step(struct rn_events *e, const struct rn_step *s)
{
    struct rn_text summary = {0};
    if (s->step != 1 && s->step % STEP_INTERVAL) return RN_OK;
    add_scalar(&summary, "step/loss", s->loss);
    add_scalar(&summary, "step/lr", s->lr);
    return append(e, s->step, &summary);
}

rn_status rn_events_epoch(struct rn_events *e, const struct rn_epoch *epoch)
{
    struct rn_text summary = {0};
    add_scalar(&summary, EPOCH_TAG, epoch->train_loss);
    add_scalar(&summary, "train/accuracy", epoch->train_acc);
    add_scalar(&summary, "train/lr", epoch->lr);
    add_scalar(&summary, "val/loss", epoch->val_loss);
    add_scalar(&summary, "val/accuracy", epoch->val_acc);
    return append(e, epoch->steps, &summary);
}

void rn_events_remove(const char *folder)
{
    char *path = rn_path_join(folder, FILE_NAME);
    if (path) unlink(path);
    rn_free(path);
}
