/*
 * idx.c - Fashion-MNIST and MNIST: IDX files of 28 x 28 grey images, raw or gzip-compressed.
 *
 * Grey goes into all three channels, and a border of two zero pixels makes 32 x 32.  What a
 * compressed file may grow to is set by the dimensions in its own first 16 bytes after those were
 * checked, so a small file cannot ask for more memory than a true one.
 * Sources: http://yann.lecun.com/exdb/mnist (the format); Xiao, Rasul, Vollgraf, "Fashion-MNIST: a
 * novel image dataset for benchmarking machine learning algorithms", arXiv:1708.07747; RFC 1952
 * (gzip).
 */
#include "data/sets.h"

#include "base/file.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#define GREY 28
#define SIDE 32
#define BORDER ((SIDE - GREY) / 2)
#define MAX_IMAGES 100000
#define READ_LIMIT (16u + MAX_IMAGES * GREY * GREY)
#define MAX_HEADER 16
#define MAX_RATIO 1032 /* deflate cannot do better: 258 bytes out of two bits */

static const char *const fashion_names[] = { "T-shirt/top", "trouser", "pullover", "dress", "coat",
                                             "sandal", "shirt", "sneaker", "bag", "ankle boot" };
static const char *const digit_names[] = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9" };

/* One file's bytes as they are wanted: plain or being inflated. */
struct idx {
    const char *path;
    unsigned char *file;     /* all of it, as stored */
    size_t file_bytes;
    bool packed;
    z_stream z;
    bool inflating;          /* z is to be ended */
    uint64_t at;             /* unpacked bytes taken so far */
};

/* zlib's memory comes from where all memory comes from. */
static voidpf take_memory(voidpf unused, uInt items, uInt size)
{
    (void)unused;
    return rn_alloc_array(items, size);
}

static void give_memory(voidpf unused, voidpf memory)
{
    (void)unused;
    rn_free(memory);
}

static void idx_close(struct idx *x)
{
    if (x->inflating) inflateEnd(&x->z);
    rn_free(x->file);
}

static rn_status idx_open(struct idx *x, const char *path)
{
    *x = (struct idx){ .path = path };
    rn_status status = rn_file_read(&x->file, &x->file_bytes, path, READ_LIMIT);
    if (status != RN_OK) return status;
    x->packed = x->file_bytes >= 2 && x->file[0] == 0x1f && x->file[1] == 0x8b;
    if (!x->packed) return RN_OK;
    x->z.zalloc = take_memory;
    x->z.zfree = give_memory;
    x->z.next_in = x->file;
    x->z.avail_in = (uInt)x->file_bytes;
    if (inflateInit2(&x->z, 16 + MAX_WBITS) != Z_OK) /* 16: a gzip header, not zlib's */
        return rn_fail(RN_ENOMEM, "%s: out of memory for unpacking", rn_shown(path).text);
    x->inflating = true;
    return RN_OK;
}

static rn_status fail_inflate(const struct idx *x, int result)
{
    struct rn_shown path = rn_shown(x->path);
    uint64_t offset = (uint64_t)x->z.total_in;
    if (result == Z_MEM_ERROR)
        return rn_fail(RN_ENOMEM, "%s: out of memory for unpacking", path.text);
    if (result == Z_BUF_ERROR || result == Z_OK)
        return rn_fail(RN_EINPUT, "%s: is cut short: the compressed data ends at byte %" PRIu64
                       " in the middle", path.text, offset);
    return rn_fail(RN_EINPUT, "%s: damaged compressed data near byte %" PRIu64 ": %s", path.text,
                   offset, x->z.msg ? x->z.msg : "not a gzip stream");
}

/* The next `bytes` bytes; `what` names them in messages. */
static rn_status idx_take(struct idx *x, unsigned char *dst, size_t bytes, const char *what)
{
    size_t got = 0;
    if (!x->packed) {
        got = RN_MIN(bytes, x->file_bytes - (size_t)x->at);
        memcpy(dst, x->file + x->at, got);
    } else if (x->inflating) {
        int result = Z_OK;
        x->z.next_out = dst;
        x->z.avail_out = (uInt)bytes;
        while (x->z.avail_out && result == Z_OK) result = inflate(&x->z, Z_NO_FLUSH);
        if (x->z.avail_out && result != Z_STREAM_END) return fail_inflate(x, result);
        got = bytes - x->z.avail_out;
    }
    x->at += got;
    if (got == bytes) return RN_OK;
    return rn_fail(RN_EINPUT, "%s: ends at byte %" PRIu64 "%s, %zu bytes before the end of the %s",
                   rn_shown(x->path).text, x->at, x->packed ? " unpacked" : "", bytes - got, what);
}

/* Nothing may follow, and the checksum of a gzip file must hold. */
static rn_status idx_end(struct idx *x)
{
    struct rn_shown path = rn_shown(x->path);
    unsigned char more;
    if (!x->packed) {
        if (x->at == x->file_bytes) return RN_OK;
        return rn_fail(RN_EINPUT, "%s: %zu bytes where its header asks for %" PRIu64, path.text,
                       x->file_bytes, x->at);
    }
    x->z.next_out = &more;
    x->z.avail_out = 1;
    int result = inflate(&x->z, Z_FINISH);
    if (x->z.avail_out == 0)
        return rn_fail(RN_EINPUT, "%s: unpacks to more than the %" PRIu64 " bytes its header asks "
                       "for", path.text, x->at);
    if (result != Z_STREAM_END) return fail_inflate(x, result);
    if (x->z.avail_in == 0) return RN_OK;
    return rn_fail(RN_EINPUT, "%s: %u bytes follow the compressed data", path.text, x->z.avail_in);
}

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Reads the header of unsigned bytes in `dims` dimensions and gives the first of them; the others
 * must be 28. */
static rn_status idx_header(struct idx *x, int64_t *count, int dims)
{
    unsigned char h[MAX_HEADER];
    uint32_t magic = 0x0800u + (uint32_t)dims;
    struct rn_shown path = rn_shown(x->path);
    rn_status status = idx_take(x, h, 4 + 4 * (size_t)dims, "header");
    if (status != RN_OK) return status;
    if (big_endian(h) != magic)
        return rn_fail(RN_EINPUT, "%s: offset 0: magic number 0x%08" PRIx32 " where IDX %s have "
                       "0x%08" PRIx32, path.text, big_endian(h), dims == 3 ? "images" : "labels",
                       magic);
    *count = big_endian(h + 4);
    if (*count < 1 || *count > MAX_IMAGES)
        return rn_fail(RN_EINPUT, "%s: offset 4: %" PRId64 " items; 1 to %d are read", path.text,
                       *count, MAX_IMAGES);
    for (int d = 1; d < dims; d++)
        if (big_endian(h + 4 + 4 * d) != GREY)
            return rn_fail(RN_EINPUT, "%s: offset %d: images of %" PRIu32 " x %" PRIu32 " where "
                           "%d x %d are read", path.text, 4 + 4 * d, big_endian(h + 8),
                           big_endian(h + 12), GREY, GREY);
    return RN_OK;
}

/* Can the file hold as much as its header asks for?  Asked before there is memory for it. */
static rn_status check_length(const struct idx *x, uint64_t wanted)
{
    if (wanted <= (uint64_t)x->file_bytes * (x->packed ? MAX_RATIO : 1)) return RN_OK;
    return rn_fail(RN_EINPUT, "%s: %zu bytes%s where its header asks for %" PRIu64,
                   rn_shown(x->path).text, x->file_bytes, x->packed ? " compressed" : "", wanted);
}

static rn_status read_images(struct rn_split *split, const struct rn_dataset *set, const char *path)
{
    struct idx x;
    unsigned char grey[GREY * GREY];
    int64_t count;
    rn_status status = idx_open(&x, path);
    if (status == RN_OK) status = idx_header(&x, &count, 3);
    if (status == RN_OK) status = check_length(&x, 16 + (uint64_t)count * sizeof grey);
    if (status == RN_OK) status = rn_split_make(split, set, count);
    for (int64_t i = 0; status == RN_OK && i < count; i++) {
        uint8_t *plane = split->pixels + i * 3 * SIDE * SIDE;
        if ((status = idx_take(&x, grey, sizeof grey, "images"))) break;
        for (int y = 0; y < GREY; y++)
            memcpy(plane + (y + BORDER) * SIDE + BORDER, grey + y * GREY, GREY);
        memcpy(plane + SIDE * SIDE, plane, SIDE * SIDE);
        memcpy(plane + 2 * SIDE * SIDE, plane, SIDE * SIDE);
    }
    if (status == RN_OK) status = idx_end(&x);
    idx_close(&x);
    return status;
}

static rn_status read_labels(struct rn_split *split, const char *path)
{
    struct idx x;
    int64_t count;
    unsigned char label;
    rn_status status = idx_open(&x, path);
    if (status == RN_OK) status = idx_header(&x, &count, 1);
    if (status == RN_OK && count != split->count)
        status = rn_fail(RN_EINPUT, "%s: %" PRId64 " labels for %" PRId64 " images",
                         rn_shown(path).text, count, split->count);
    for (int64_t i = 0; status == RN_OK && i < count; i++) {
        if ((status = idx_take(&x, &label, 1, "labels"))) break;
        if (label > 9)
            status = rn_fail(RN_EINPUT, "%s: offset %" PRId64 ": label %d of image %" PRId64
                             " is above 9", rn_shown(path).text, 8 + i, label, i);
        split->labels[i] = label;
    }
    if (status == RN_OK) status = idx_end(&x);
    idx_close(&x);
    return status;
}

#define FETCH "; sh datasets/fetch-fashion-mnist.sh fetches it"

/* The path of one of the four files, compressed or not; NULL with a message. */
static char *find_file(const char *folder, const char *name, bool fashion, rn_status *status)
{
    char packed[64] = "";
    strncat(packed, name, sizeof packed - 4);
    strcat(packed, ".gz");
    const char *const names[] = { name, packed };
    for (size_t i = 0; i < RN_COUNT(names); i++) {
        char *path = rn_path_join(folder, names[i]);
        if (!path) return *status = RN_ENOMEM, NULL;
        if (rn_path_exists(path)) return path;
        rn_free(path);
    }
    *status = rn_fail(RN_EINPUT, "%s: holds neither %s nor %s%s", rn_shown(folder).text, name,
                      packed, fashion ? FETCH : "");
    return NULL;
}

static rn_status read_split(struct rn_split *split, const struct rn_dataset *set,
                            const char *folder, bool fashion, const char *images_name,
                            const char *labels_name)
{
    rn_status status = RN_OK;
    char *images = find_file(folder, images_name, fashion, &status);
    char *labels = images ? find_file(folder, labels_name, fashion, &status) : NULL;
    if (labels && (status = read_images(split, set, images)) == RN_OK)
        status = read_labels(split, labels);
    rn_free(images);
    rn_free(labels);
    return status;
}

rn_status rn_idx_read(struct rn_dataset *set, const char *folder, bool fashion)
{
    /* Of the unpadded training images, as published recipes have them. */
    double m = fashion ? 0.2860 : 0.1307, s = fashion ? 0.3530 : 0.3081;
    const double mean[3] = { m, m, m }, std[3] = { s, s, s };
    if (!rn_folder_exists(folder))
        return rn_fail(RN_EINPUT, "%s: no such folder%s", rn_shown(folder).text,
                       fashion ? FETCH : "");
    rn_status status = rn_dataset_describe(set, fashion ? "fashion-mnist" : "mnist", SIDE,
                                           fashion ? fashion_names : digit_names, 10, mean, std);
    if (status == RN_OK)
        status = read_split(&set->train, set, folder, fashion, "train-images-idx3-ubyte",
                            "train-labels-idx1-ubyte");
    if (status == RN_OK)
        status = read_split(&set->val, set, folder, fashion, "t10k-images-idx3-ubyte",
                            "t10k-labels-idx1-ubyte");
    return status;
}
