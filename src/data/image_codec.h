/*
 * image_codec.h - what the readers of the two formats share: how a file's rows become planes of an upright
 * picture.  Inside src/data only.
 *
 * make sets RN_HAVE_JPEG and RN_HAVE_PNG for these files where it finds the libraries; built without them,
 * the reader of a format is a sentence that says what to install.
 */
#ifndef RN_DATA_IMAGE_CODEC_H
#define RN_DATA_IMAGE_CODEC_H

#include "data/image.h"

#define RN_IMAGE_MAX_BYTES ((size_t)1 << 29) /* of a file */
#define RN_IMAGE_NAME 400                    /* characters of a name in a message */

/* A picture on the way from its file. */
struct rn_source {
    const uint8_t *bytes;
    size_t size;
    char name[RN_IMAGE_NAME]; /* printable */
    int width, height;        /* of the file's rows */
    int orientation;          /* EXIF's: 1 ... 8 */
    bool header_only;         /* size and orientation are all that is wanted */
    ptrdiff_t origin, dx, dy; /* pixel (x, y) of the file is at origin + x dx + y dy in a plane */
    struct rn_image *image;   /* to be filled */
};

/* RN_EINPUT unless a picture of this size may be read; to be asked before anything is allocated for it. */
rn_status rn_source_size(struct rn_source *s, uint64_t width, uint64_t height);
/* Allocates the upright image of a source whose size and orientation are known. */
rn_status rn_source_begin(struct rn_source *s);
/* Row y of the file, [width][3]. */
void rn_source_row(struct rn_source *s, int y, const uint8_t *rgb);

/* Fill s->image, or say why not and leave s->image->pixels to the caller; header_only: nothing but s itself. */
rn_status rn_jpeg_decode(struct rn_source *s);
rn_status rn_png_decode(struct rn_source *s);
/* "libjpeg-turbo 2.1.5"; NULL where it is not built in. */
const char *rn_jpeg_library(void);
const char *rn_png_library(void);

/* The orientation in a TIFF structure, which is what EXIF is: 1 ... 8; 1 where there is none, or no sense. */
int rn_exif_orientation(const uint8_t *tiff, size_t size);

#endif /* RN_DATA_IMAGE_CODEC_H */
