/*
 * image.h - pictures as decoded 8-bit pixels: reading files, resampling, and the pixel arithmetic of
 * augmentation.  Internal to src/data, and to the programs that read or write single pictures.
 *
 * All arithmetic here is integers and single correctly rounded operations: equal bytes in, equal bytes out.
 */
#ifndef RN_DATA_IMAGE_H
#define RN_DATA_IMAGE_H

#include "base/base.h"

/* [3][height][width]: planes of red, green and blue, 0 ... 255 in sRGB as the file has them. */
struct rn_image {
    int width, height;
    uint8_t *pixels; /* rn_alloc'ed */
};
void rn_image_free(struct rn_image *image); /* and makes it {0} */

/* -- files ------------------------------------------------------------------------------------- */

#define RN_IMAGE_MAX_PIXELS ((int64_t)1 << 26) /* width times height of a picture that is read; more is refused */

/* JPEG or PNG, by content; grey, palettes, alpha (dropped, as Pillow's convert("RGB") does), 16 bits and CMYK
 * become 8-bit RGB, and EXIF's orientation is carried out.  `name` is for messages.  RN_EINPUT: damaged, cut
 * off, too large, of another kind (which is named), or of a kind that this build has no library for. */
rn_status rn_image_decode(struct rn_image *image, const uint8_t *bytes, size_t size, const char *name);
/* The same of a file; RN_EINPUT also where it cannot be read. */
rn_status rn_image_read(struct rn_image *image, const char *path);
/* The size that the picture has once it is decoded, which this does not: damage behind the header is not found. */
rn_status rn_image_size(int *width, int *height, const uint8_t *bytes, size_t size, const char *name);
/* The whole PNG file of an image, 8-bit RGB, rn_alloc'ed; needs zlib only. */
rn_status rn_png_encode(uint8_t **bytes, size_t *size, const uint8_t *planes, int width, int height);
/* The libraries that are built in: "libjpeg-turbo 2.1.5, libpng 1.6.39"; for --version. */
const char *rn_image_libraries(void);

/* -- resampling -------------------------------------------------------------------------------- */

enum rn_filter { RN_NEAREST, RN_BILINEAR };

/* Part of a picture, in its pixels; need not be whole. */
struct rn_box { double left, top, right, bottom; };
struct rn_region { int left, top, width, height; }; /* whole pixels */

/* Bytes of scratch that rn_resize needs, for any source within source_w x source_h. */
size_t rn_resize_scratch(int source_w, int source_h, int width, int height);
/* Planes [3][height][width] of the box, bilinear with antialiasing: Pillow's Image.resize(BILINEAR, box), to
 * the bit.  The box lies in the source and is not empty. */
void rn_resize(uint8_t *dst, int width, int height, const uint8_t *src, int source_w, int source_h,
               const struct rn_box *box, void *scratch);
/* The same of a part that is cut out first: no pixel outside it is looked at. */
void rn_resize_region(uint8_t *dst, int width, int height, const uint8_t *src, int source_w, int source_h,
                      const struct rn_region *region, void *scratch);
/* torchvision's CenterCrop: where the middle `size` of `source` >= size pixels begins, halves to the even number. */
int rn_middle(int size, int source);

/* -- colour (torchvision's functional transforms of Pillow's pictures, that is ImageEnhance) ---- */

/* In place on planes of `count` pixels each; factor 1 leaves them, 0 is black, the mean grey, or grey. */
void rn_adjust_brightness(uint8_t *planes, size_t count, double factor);
void rn_adjust_contrast(uint8_t *planes, size_t count, double factor);
void rn_adjust_saturation(uint8_t *planes, size_t count, double factor);
void rn_adjust_hue(uint8_t *planes, size_t count, double shift); /* -0.5 ... 0.5 of a turn */

/* -- geometry ---------------------------------------------------------------------------------- */

/* Where pixel (x + 0.5, y + 0.5) of the result comes from: (a x + b y + c, d x + e y + f). */
struct rn_affine { double a, b, c, d, e, f; };

/* torchvision's inverse matrix: rotation by `degrees` clockwise about the centre, then shift by (dx, dy)
 * pixels, scale, and shear in degrees along x and y.  With no more than -degrees that of Pillow's rotate. */
struct rn_affine rn_affine_inverse(double degrees, double dx, double dy, double scale, double shear_x,
                                   double shear_y, int width, int height);
/* Planes of the same size, `fill` where there is no source: Pillow's Image.transform(AFFINE), to the bit. */
void rn_affine_image(uint8_t *dst, const uint8_t *src, int width, int height, const struct rn_affine *m,
                     enum rn_filter filter, const uint8_t fill[3]);

#endif /* RN_DATA_IMAGE_H */
