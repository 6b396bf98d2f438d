/*
 * data.h - data sets as decoded 8-bit images, augmentation, and the loader that turns them into
 * batches.
 *
 * All that is random here is a pure function of (seed, epoch, index in the data set): A29.
 */
#ifndef RN_DATA_H
#define RN_DATA_H

#include "base/base.h"

/* One split: `count` images of [channels][height][width] bytes, RGB planes (CHW), and labels. */
struct rn_split {
    int64_t count;
    uint8_t *pixels;   /* all images, in file order; NULL where they lie in files */
    int32_t *labels;
    struct rn_store *store; /* those files (store.h), or NULL */
};

struct rn_dataset {
    char *spec;               /* as given: "demo", "cifar10:DIR" */
    char *name;               /* "demo", "cifar10", "fashion-mnist" */
    int channels, height, width, classes;
    char **class_names;       /* [classes] */
    double mean[3], std[3];   /* default normalisation of pixels scaled to 0...1 */
    struct rn_split train, val; /* val: the set's test images where it has no validation part */
    struct rn_split test;     /* val once more, pointers and all, where has_test is false */
    bool has_test;
    bool divided;             /* val is a share of the images that were train's */
    bool only_test;           /* val and test are what a folder has in test, and there is nothing else */
    int64_t skipped;          /* images that could not be used */
    char *skipped_list;       /* a line for each, "path: reason", the first 10,000; or NULL */
    char *notes;              /* lines on what looks like a mistake and is used as it is; or NULL */
};

#define RN_VAL_SPLIT 0.2 /* of a folder's images, where it has no val */

/* What a set is opened with beside its spec.  {0}: its own size, one thread, nothing kept. */
struct rn_dataset_options {
    int image_size;     /* the --image-size of the run, or 0.  demo makes that size (32 ten classes, 64 and 224
                           two); folders give it; the others have their own */
    /* Of folders: */
    double val_split;   /* the share of train that is val where there is no val; 0: RN_VAL_SPLIT */
    uint64_t seed;      /* of that division */
    int resize;         /* short side before evaluation's centre crop; 0: rn_resize_side(image_size) */
    bool originals;     /* training takes crops out of the whole pictures, not of resized ones */
    uint64_t cache_bytes; /* decoded pixels that are kept in memory; the rest is decoded again; no effect on bits */
    bool headers;       /* of files only the headers are looked at: who will ask for sizes and counts, not pixels */
    bool strict;        /* the first file that cannot be used ends it all */
    bool no_train, no_test; /* nobody will ask for these images: they are not read, and count 0; no_train: they
                               may be missing, if val or test is there */
    int threads;        /* that decode; 0: one */
    void (*progress)(void *arg, int64_t done, int64_t count); /* or NULL; in the caller's thread */
    void *arg;
};
/* torchvision's presets resize 256 pixels for a crop of 224: that share of any size. */
int rn_resize_side(int image_size);

/* spec: demo[:SIZE] | cifar10:DIR | fashion-mnist:DIR | mnist:DIR | folder:DIR.  options: NULL is {0}.
 * RN_EUSAGE: unknown kind, no such size; RN_EINPUT: file missing, of another length, label out of range,
 * corrupt gzip, fewer than two classes with images ... */
rn_status rn_dataset_open(struct rn_dataset **set, const char *spec, const struct rn_dataset_options *options);
void rn_dataset_close(struct rn_dataset *set);
/* What train and val consist of, where they lie in files: a hash of the files' bytes and classes, in their order.
 * 0 for sets in memory. */
uint64_t rn_dataset_hash(const struct rn_dataset *set);
/* Names of the kinds, for messages and help: "demo[:SIZE] | cifar10:DIR | ..." */
const char *rn_dataset_kinds(void);

/* -- augmentation ------------------------------------------------------------------------------ */
enum rn_flip { RN_FLIP_NEVER, RN_FLIP_RANDOM, RN_FLIP_ALTERNATING };
/* The items of a list.  The numbers choose their random words, and are never changed. */
enum rn_augment_kind {
    RN_AUGMENT_CROP, RN_AUGMENT_FLIP, RN_AUGMENT_VFLIP, RN_AUGMENT_RRC, RN_AUGMENT_JITTER, RN_AUGMENT_ROTATE,
    RN_AUGMENT_AFFINE, RN_AUGMENT_ERASE, RN_AUGMENT_KINDS
};
struct rn_area { double scale_low, scale_high, ratio_low, ratio_high; }; /* share; w / h of rrc, h / w of erase */
/* crop:4,flip; rrc,flip,jitter:0.2:0.2,erase; {0} is none. */
struct rn_augment {
    int crop_padding; bool reflect; enum rn_flip flip;
    int items;
    enum rn_augment_kind item[RN_AUGMENT_KINDS]; /* in the order they are carried out, each at most once */
    struct rn_area rrc;
    struct { double brightness, contrast, saturation, hue; } jitter;
    struct { double degrees; bool bilinear; } rotate;
    struct { double degrees, shift_x, shift_y, scale_low, scale_high, shear; bool bilinear; } affine;
    struct { double share; struct rn_area area; } erase;
};
rn_status rn_augment_parse(struct rn_augment *a, const char *list); /* RN_EUSAGE: names item and range */
bool rn_augment_has(const struct rn_augment *a, enum rn_augment_kind kind);

/* The whole way of one training picture but erasing: planes of any size to planes [3][height][width], with
 * every item in its order, and the middle of what is then still larger.  Keyed by (seed, epoch, index).  With
 * rrc the source may be any picture; without, it should be at least as large as the result (Resize comes
 * before, as in torchvision): what it lacks is black.  scratch: rn_augment_scratch bytes for that source
 * size, 64-aligned. */
size_t rn_augment_scratch(const struct rn_augment *a, int width, int height, int source_w, int source_h);
void rn_augment_apply(uint8_t *dst, int width, int height, const uint8_t *src, int source_w, int source_h,
                      const struct rn_augment *a, uint64_t seed, uint32_t epoch, uint32_t index,
                      void *scratch);
/* The item erase, of the finished image (what is erased is the mean there); nothing where the list has none. */
void rn_augment_erase(struct rn_image_move *move, int height, int width, const struct rn_augment *a, uint64_t seed,
                      uint32_t epoch, uint32_t index);
/* crop and flip, of a picture that is as large as the result: what they do to it, and done. */
void rn_augment_move(struct rn_image_move *move, int height, int width, const struct rn_augment *a, uint64_t seed,
                     uint32_t epoch, uint32_t index);
void rn_augment_image(uint8_t *dst, const uint8_t *src, int channels, int height, int width,
                      const struct rn_augment *a, uint64_t seed, uint32_t epoch, uint32_t index);

/* -- progressive sizes ------------------------------------------------------------------------- */
/* Training on smaller images first: side `side` until epoch number `until` is over, part after part; then the
 * set's own.  {0} is the set's own from the beginning. */
#define RN_SIZE_PARTS 8
struct rn_progressive { int parts; struct { int side; int64_t until; } part[RN_SIZE_PARTS]; };
/* "16:3,24:7"; "none" is {0}.  RN_EUSAGE: names the item; both numbers must rise. */
rn_status rn_progressive_parse(struct rn_progressive *p, const char *list);
/* The side in epoch `epoch`, counted from 0, of images of side `full`. */
int rn_progressive_side(const struct rn_progressive *p, int64_t epoch, int full);

/* -- loader ------------------------------------------------------------------------------------ */
struct rn_loader_config {
    const struct rn_dataset *set;
    const struct rn_split *split;
    int64_t limit;           /* use the first `limit` images in file order; 0 = all */
    int batch;
    bool shuffle;
    struct rn_augment augment;
    struct rn_progressive progressive; /* of square images, shrunk after augmentation (A29) */
    double mean[3], std[3];
    uint64_t seed;
    int workers;             /* threads that prepare batches ahead, 0 ... 64; 0 = in the caller */
};
struct rn_batch {
    struct rn_images images; /* n of them, borrowed until the next call; H and W: the set's, or the epoch's progressive
                                size */
    const int32_t *labels;   /* [n] */
    const uint32_t *index;   /* [n] place in the data set */
    int n;
};
struct rn_loader_size {
    int64_t count, steps;    /* images and batches an epoch */
    size_t bytes;            /* what the loader will allocate; at most SIZE_MAX / 2 is said */
};
/* What rn_loader_create would make of the config, with the same checks; allocates nothing. */
rn_status rn_loader_measure(struct rn_loader_size *size, const struct rn_loader_config *config);
struct rn_loader;
rn_status rn_loader_create(struct rn_loader **loader, const struct rn_loader_config *config);
int64_t rn_loader_steps(const struct rn_loader *loader); /* ceil(count / batch) */
int64_t rn_loader_count(const struct rn_loader *loader); /* images an epoch */
/* Starts an epoch (0, 1, ...) at batch number first_step of it, so that a resumed run sees
 * exactly what an uninterrupted one would. */
rn_status rn_loader_begin(struct rn_loader *loader, uint32_t epoch, int64_t first_step);
/* *batch.n = 0 at the end of the epoch.  RN_EINPUT: a file of the data set changed or is gone. */
rn_status rn_loader_next(struct rn_loader *loader, struct rn_batch *batch);
/* Seconds that rn_loader_next has kept its callers waiting, in all: for a batch to be ready or, without workers, to
 * be prepared. */
double rn_loader_waited(const struct rn_loader *loader);
void rn_loader_free(struct rn_loader *loader);
/* The order of epoch `epoch`: a permutation of 0...count-1 (Fisher-Yates, keyed by seed and
 * epoch). */
void rn_shuffle(uint32_t *order, uint32_t count, uint64_t seed, uint32_t epoch);

#endif /* RN_DATA_H */
