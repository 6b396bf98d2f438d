/*
 * cifar.c - CIFAR-10, the binary version: five training files and a test file of 10,000 records,
 * each a label byte and three planes of 32 x 32 bytes, red, green, blue.
 *
 * Only the set as published is read: a file of another length, two files with one content or a
 * label above 9 are refused, and what is taken for CIFAR-10 most often is called by its name.
 * Source: A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009, and the
 * description of the files on https://www.cs.toronto.edu/~kriz/cifar.html.
 */
#include "data/sets.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"

#include <inttypes.h>
#include <string.h>

#define SIDE 32
#define IMAGE_BYTES (3 * SIDE * SIDE)
#define RECORD_BYTES (1 + IMAGE_BYTES)
#define RECORDS 10000 /* a file */
#define FILE_BYTES (RECORDS * RECORD_BYTES)
#define READ_LIMIT (256u << 20) /* what is longer is not even read to see what it is */

static const char *const files[] = { "data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                     "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin" };
static const char *const class_names[] = { "airplane", "automobile", "bird",  "cat",  "deer",
                                           "dog",      "frog",       "horse", "ship", "truck" };
/* Means of the training pixels; the deviations are those of the single images, averaged, which
 * is what published CIFAR-10 recipes divide by. */
static const double mean[3] = { 0.4914, 0.4822, 0.4465 }, std[3] = { 0.2023, 0.1994, 0.2010 };

#define FETCH "sh datasets/fetch-cifar10.sh fetches it"
#define TRAIN_FILES (RN_COUNT(files) - 1)

/* RN_OK if all six files are there. */
static rn_status check_files(const char *folder)
{
    struct rn_text missing = {0};
    struct rn_shown where = rn_shown(folder);
    size_t count = 0;
    for (size_t i = 0; i < RN_COUNT(files); i++)
        if (!rn_path_exists_in(folder, files[i]))
            rn_text_add(&missing, "%s%s", count++ ? ", " : "", files[i]);
    rn_status status = rn_text_status(&missing);
    if (status != RN_OK || count == 0) goto done;
    status = RN_EINPUT;
    if (count < RN_COUNT(files))
        rn_fail(status, "%s: missing %s; " FETCH, where.text, missing.data);
    else if (rn_path_exists_in(folder, "train.bin") && rn_path_exists_in(folder, "test.bin"))
        rn_fail(status, "%s: holds CIFAR-100 (train.bin, test.bin); CIFAR-10 has %s; " FETCH,
                where.text, missing.data);
    else if (rn_path_exists_in(folder, "data_batch_1"))
        rn_fail(status, "%s: holds the Python version of CIFAR-10; the binary version is needed, "
                "with %s; " FETCH, where.text, missing.data);
    else
        rn_fail(status, "%s: no CIFAR-10 here; missing %s; " FETCH, where.text, missing.data);
done:
    rn_text_free(&missing);
    return status;
}

static rn_status fail_length(const char *path, size_t bytes)
{
    const char *why = bytes < FILE_BYTES ? "is cut short" : "is too long";
    if (bytes > 0 && bytes % (RECORD_BYTES + 1) == 0) why = "has CIFAR-100's records of 3074 bytes";
    return rn_fail(RN_EINPUT, "%s: %s: %zu bytes where CIFAR-10 has %d, %d records of %d",
                   rn_shown(path).text, why, bytes, FILE_BYTES, RECORDS, RECORD_BYTES);
}

/* Takes the records of one file into images first ... first + RECORDS - 1 of the split. */
static rn_status take_records(struct rn_split *split, int64_t first, const unsigned char *data,
                              const char *path)
{
    for (int64_t i = 0; i < RECORDS; i++, data += RECORD_BYTES) {
        if (data[0] > 9)
            return rn_fail(RN_EINPUT, "%s: offset %" PRId64 ": label %d of record %" PRId64
                           " is above 9", rn_shown(path).text, i * RECORD_BYTES, data[0], i);
        split->labels[first + i] = data[0];
        memcpy(split->pixels + (first + i) * IMAGE_BYTES, data + 1, IMAGE_BYTES);
    }
    return RN_OK;
}

/* Reads file number `f`; content[] are the hashes of those before it and gets its own. */
static rn_status read_file(struct rn_dataset *set, const char *folder, size_t f,
                           uint64_t content[RN_COUNT(files)])
{
    unsigned char *data = NULL;
    size_t bytes;
    struct rn_hash h;
    bool train = f < TRAIN_FILES;
    char *path = rn_path_join(folder, files[f]);
    rn_status status = path ? rn_file_read(&data, &bytes, path, READ_LIMIT) : RN_ENOMEM;
    if (status != RN_OK) goto done;
    if (bytes != FILE_BYTES) {
        status = fail_length(path, bytes);
        goto done;
    }
    rn_hash_begin(&h, 0);
    rn_hash_bytes(&h, data, bytes);
    content[f] = rn_hash_end(&h);
    for (size_t g = 0; g < f; g++)
        if (content[g] == content[f]) {
            status = rn_fail(RN_EINPUT, "%s: has the content of %s", rn_shown(path).text, files[g]);
            goto done;
        }
    status = take_records(train ? &set->train : &set->val, train ? (int64_t)f * RECORDS : 0, data,
                          path);
done:
    rn_free(data);
    rn_free(path);
    return status;
}

/* The folder itself, or the one of the published archive inside it; the caller frees. */
static char *find_folder(const char *folder)
{
    char *inner = rn_path_join(folder, "cifar-10-batches-bin");
    if (inner && !rn_path_exists_in(folder, files[0]) && rn_folder_exists(inner)) return inner;
    rn_free(inner);
    return rn_strdup(folder);
}

rn_status rn_cifar10_read(struct rn_dataset *set, const char *folder)
{
    uint64_t content[RN_COUNT(files)];
    rn_status status;
    if (!rn_folder_exists(folder))
        return rn_fail(RN_EINPUT, "%s: no such folder; " FETCH, rn_shown(folder).text);
    char *found = find_folder(folder);
    if (!found) return RN_ENOMEM;
    if ((status = check_files(found))) goto done;
    status = rn_dataset_describe(set, "cifar10", SIDE, class_names, RN_COUNT(class_names), mean,
                                 std);
    if (status) goto done;
    if ((status = rn_split_make(&set->train, set, TRAIN_FILES * RECORDS))) goto done;
    if ((status = rn_split_make(&set->val, set, RECORDS))) goto done;
    for (size_t f = 0; f < RN_COUNT(files) && status == RN_OK; f++)
        status = read_file(set, found, f, content);
done:
    rn_free(found);
    return status;
}
