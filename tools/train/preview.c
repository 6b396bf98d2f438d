/*
 * preview.c - ./train --preview: a contact sheet of the first batch, as the loader hands it to the net.
 *
 * The floats that the net is given, here by the reference, are brought back to bytes, (x std + mean) 255, so that
 * everything on the way to them is seen: crops, colours, an erased part, which shows as the mean.  Small images are
 * enlarged by a whole factor.
 */
#include "tools/train/preview.h"

#include "base/file.h"
#include "base/mem.h"
#include "data/image.h"

#include <math.h>
#include <string.h>

#define GAP 4          /* pixels between images */
#define PAPER 255      /* white */
#define LEAST_SIDE 112 /* of an image on the sheet */
#define NAME_CHARS 64
#define MOST_PIXELS ((int64_t)1 << 24) /* of a sheet of more than one image */

struct sheet {
    float *images;   /* [n][C][H][W] */
    uint8_t *planes; /* [3][height][width] */
    int width, height;
    int columns, rows, zoom, tile_w, tile_h;
};

static int columns_for(int images)
{
    int columns = 1;
    while (columns * columns < images) columns++;
    return columns;
}

/* Of the first `images`, as many as a sheet has room for. */
static int fitting(int images, const struct rn_dataset *d)
{
    const int64_t tile_w = d->width + GAP, tile_h = d->height + GAP;
    for (; images > 1; images--) {
        const int columns = columns_for(images), rows = (images + columns - 1) / columns;
        if ((columns * tile_w + GAP) * (rows * tile_h + GAP) <= MOST_PIXELS) break;
    }
    return images;
}

static rn_status sheet_make(struct sheet *s, const struct rn_batch *b)
{
    const struct rn_image_shape *image = &b->images.shape;
    *s = (struct sheet){ .columns = columns_for(b->n) };
    s->rows = (b->n + s->columns - 1) / s->columns;
    s->zoom = RN_MAX(1, LEAST_SIDE / RN_MAX(image->W, image->H));
    s->tile_w = image->W * s->zoom + GAP;
    s->tile_h = image->H * s->zoom + GAP;
    s->width = s->columns * s->tile_w + GAP;
    s->height = s->rows * s->tile_h + GAP;
    const size_t bytes = 3 * (size_t)s->width * (size_t)s->height;
    s->images = rn_alloc_array((size_t)b->n * (size_t)image->C, (size_t)image->H * (size_t)image->W * sizeof(float));
    s->planes = rn_alloc(bytes);
    if (!s->images || !s->planes) return RN_ENOMEM;
    rn_ops_ref.images_forward(NULL, s->images, b->images.pixels, b->images.move, image);
    memset(s->planes, PAPER, bytes);
    return RN_OK;
}

/* One plane of an image, its upper left corner at *dst. */
static void draw_plane(uint8_t *dst, const struct sheet *s, const float *plane,
                       const struct rn_image_shape *image, double mean, double std)
{
    for (int y = 0; y < image->H * s->zoom; y++, dst += s->width)
        for (int x = 0; x < image->W * s->zoom; x++) {
            const double value = plane[y / s->zoom * image->W + x / s->zoom] * std + mean;
            dst[x] = (uint8_t)rint(RN_MIN(RN_MAX(value * 255, 0.0), 255.0));
        }
}

static void draw(struct sheet *s, const struct rn_batch *b, const struct rn_train_config *c)
{
    const struct rn_image_shape *shape = &b->images.shape;
    const size_t plane = (size_t)shape->W * (size_t)shape->H, area = (size_t)s->width * (size_t)s->height;
    const int channels = c->data->channels;
    for (int i = 0; i < b->n; i++) {
        const int top = GAP + i / s->columns * s->tile_h, left = GAP + i % s->columns * s->tile_w;
        const float *image = s->images + (size_t)i * (size_t)channels * plane;
        uint8_t *corner = s->planes + (size_t)top * (size_t)s->width + left;
        for (int k = 0; k < 3; k++) {
            const int from = k % channels; /* grey is all three */
            draw_plane(corner + (size_t)k * area, s, image + (size_t)from * plane, shape, c->mean[from],
                       c->std[from]);
        }
    }
}

static void describe(struct rn_text *legend, const struct sheet *s, const struct rn_batch *b,
                     const struct rn_train_config *c)
{
    for (int i = 0; i < b->n; i++) {
        char shown[NAME_CHARS];
        const char *name = c->data->class_names[b->labels[i]];
        rn_printable(shown, sizeof shown, name, strlen(name));
        rn_text_add(legend, "%s%s", i % s->columns ? ", " : i ? "\n" : "", shown);
    }
}

rn_status tool_preview_check(const char *path)
{
    const size_t length = path ? strlen(path) : 0;
    if (!path || (length > 4 && !strcmp(path + length - 4, ".png"))) return RN_OK;
    return rn_fail(RN_EUSAGE, "--preview %s: the sheet is a PNG, and its name ends in .png", path);
}

rn_status tool_preview(struct rn_text *legend, const struct rn_train_config *config, const char *path)
{
    struct rn_loader_config from = rn_train_loader(config);
    struct rn_loader *loader = NULL;
    struct rn_batch b = {0};
    struct sheet s = {0};
    uint8_t *png = NULL;
    size_t bytes = 0;
    from.workers = 0;
    from.batch = fitting(RN_MIN(from.batch, TOOL_PREVIEW_IMAGES), config->data);
    rn_status st = rn_loader_create(&loader, &from);
    if (!st) st = rn_loader_begin(loader, 0, 0);
    if (!st) st = rn_loader_next(loader, &b);
    if (!st && !b.n) st = rn_fail(RN_EINPUT, "%s: no images to preview", config->data->spec);
    if (!st) st = sheet_make(&s, &b);
    if (!st) {
        draw(&s, &b, config);
        describe(legend, &s, &b, config);
        st = rn_png_encode(&png, &bytes, s.planes, s.width, s.height);
    }
    if (!st) st = rn_text_status(legend);
    if (!st) st = rn_file_write(path, png, bytes);
    rn_free(png);
    rn_free(s.planes);
    rn_free(s.images);
    rn_loader_free(loader);
    return st;
}
