/* test_image.h - what the tests of pictures share: reading from a block of just the file's size, whose
 * overrun the address sanitizer would see, and whether anything was left allocated. */
#ifndef RN_TEST_IMAGE_H
#define RN_TEST_IMAGE_H

#include "tests/test.h"

#include "base/mem.h"
#include "data/image.h"

#include <zlib.h>

static inline bool says(const char *what)
{
    if (strstr(rn_error(), what)) return true;
    printf("\"%s\" is missing in: %s\n", what, rn_error());
    return false;
}

/* False, and a line that run.sh counts, where the build cannot read a format. */
static inline bool have(const char *library)
{
    if (strstr(rn_image_libraries(), library)) return true;
    printf("skip built without %s\n", library);
    return false;
}

/* The header says the size that the decoded picture has, and leaves nothing; or there is no memory for it. */
static inline void check_header(const struct rn_image *image, const uint8_t *bytes, size_t size)
{
    const uint64_t live = rn_alloc_live();
    int width, height;
    rn_status status = rn_image_size(&width, &height, bytes, size, "x");
    CHECK_MSG(status == RN_ENOMEM || (!status && width == image->width && height == image->height), "%d: %d x %d, %s",
              status, width, height, rn_error());
    CHECK(rn_alloc_live() == live);
}

/* rn_image_decode of a copy; a failure leaves no image, no allocation and a message that has the name. */
static inline rn_status decode(struct rn_image *image, const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    uint64_t live = rn_alloc_live();
    if (size) memcpy(copy, bytes, size);
    rn_status status = rn_image_decode(image, copy, size, "some/picture.jpg");
    if (status) {
        CHECK(!image->pixels && !image->width && !image->height && rn_alloc_live() == live);
        CHECK(says("some/picture.jpg: "));
    } else {
        CHECK(image->pixels && rn_alloc_live() == live + 1);
        check_header(image, copy, size);
    }
    free(copy);
    return status;
}

static inline rn_status decode_status(const uint8_t *bytes, size_t size)
{
    struct rn_image image;
    rn_status status = decode(&image, bytes, size);
    rn_image_free(&image);
    return status;
}

static inline uint32_t pixels_crc(const struct rn_image *image)
{
    return (uint32_t)crc32(0, image->pixels, (uInt)(3 * image->width * image->height));
}

/* Where EXIF says that pixel (x, y) of a file of w x h goes. */
static inline void turned(int orientation, int w, int h, int x, int y, int *to_x, int *to_y)
{
    int fx = w - 1 - x, fy = h - 1 - y;
    int place[8][2] = { { x, y }, { fx, y }, { fx, fy }, { x, fy }, { y, x }, { fy, x }, { fy, fx }, { y, fx } };
    *to_x = place[orientation - 1][0];
    *to_y = place[orientation - 1][1];
}

/* `image` is `plain` as the orientation asks. */
static inline bool is_turned(const struct rn_image *image, const struct rn_image *plain, int orientation)
{
    const int w = plain->width, h = plain->height;
    if (image->width != (orientation > 4 ? h : w) || image->height != (orientation > 4 ? w : h)) return false;
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                int to_x, to_y;
                turned(orientation, w, h, x, y, &to_x, &to_y);
                int got = image->pixels[(c * image->height + to_y) * image->width + to_x];
                if (got != plain->pixels[(c * h + y) * w + x]) return false;
            }
    return true;
}

#endif /* RN_TEST_IMAGE_H */
