/*
 * image.c - pictures from files: told apart by content, never by name; limits before allocations; upright.
 *
 * A file that is not read is named for what it is, for "cannot decode" helps nobody whose folder holds an
 * HTML page, a phone's HEIC or the pointer of a Git LFS file under the name of a photograph.
 */
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "data/image_codec.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void rn_image_free(struct rn_image *image)
{
    rn_free(image->pixels);
    *image = (struct rn_image){ 0 };
}

rn_status rn_source_size(struct rn_source *s, uint64_t width, uint64_t height)
{
    if (!width || !height || width > INT32_MAX || height > INT32_MAX)
        return rn_fail(RN_EINPUT, "%s: damaged: its size is %" PRIu64 " x %" PRIu64 " pixels", s->name, width,
                       height);
    if (width * height > (uint64_t)RN_IMAGE_MAX_PIXELS)
        return rn_fail(RN_EINPUT, "%s: has %" PRIu64 " x %" PRIu64 " pixels; at most %" PRId64 " are read",
                       s->name, width, height, RN_IMAGE_MAX_PIXELS);
    s->width = (int)width;
    s->height = (int)height;
    return RN_OK;
}

rn_status rn_source_begin(struct rn_source *s)
{
    /* Of each orientation: the file's rows are columns; they go from the right; they go from below. */
    static const struct { bool turned, right, below; } way[8] = {
        { 0, 0, 0 }, { 0, 1, 0 }, { 0, 1, 1 }, { 0, 0, 1 }, /* 1 ... 4 */
        { 1, 0, 0 }, { 1, 1, 0 }, { 1, 1, 1 }, { 1, 0, 1 }, /* 5 ... 8 */
    };
    const bool turned = way[s->orientation - 1].turned;
    const bool right = way[s->orientation - 1].right, below = way[s->orientation - 1].below;
    struct rn_image *image = s->image;
    image->width = turned ? s->height : s->width;
    image->height = turned ? s->width : s->height;
    image->pixels = rn_alloc_array(3, (size_t)s->width * (size_t)s->height);
    if (!image->pixels) return rn_fail_in(RN_ENOMEM, s->name);
    const ptrdiff_t width = image->width, along = right ? -1 : 1, down = below ? -width : width;
    s->origin = (right ? width - 1 : 0) + (below ? (image->height - 1) * width : 0);
    s->dx = turned ? down : along;
    s->dy = turned ? along : down;
    return RN_OK;
}

void rn_source_row(struct rn_source *s, int y, const uint8_t *rgb)
{
    const size_t plane = (size_t)s->width * (size_t)s->height;
    ptrdiff_t at = s->origin + y * s->dy;
    for (int x = 0; x < s->width; x++, at += s->dx, rgb += 3)
        for (size_t c = 0; c < 3; c++) s->image->pixels[c * plane + (size_t)at] = rgb[c];
}

/* -- kinds ------------------------------------------------------------------------------------- */

/* `count` bytes at a place, and what that makes the content. */
struct kind {
    size_t at;
    const char *bytes;
    size_t count;
    const char *what;
    bool picture;
    rn_status (*decode)(struct rn_source *s); /* NULL: not read */
};
#define KIND(at, literal, what) { at, literal, sizeof literal - 1, what, true, NULL }
#define NO_PICTURE(at, literal, what) { at, literal, sizeof literal - 1, what, false, NULL }

/* What files begin with; the first that fits counts. */
static const struct kind kinds[] = {
    { 0, "\xff\xd8\xff", 3, "a JPEG", true, rn_jpeg_decode },
    { 0, "\x89PNG\r\n\x1a\n", 8, "a PNG", true, rn_png_decode },
    NO_PICTURE(0, "\x89PNG", "a PNG that is cut off or was transferred as text"),
    KIND(0, "GIF8", "a GIF"),
    KIND(8, "WEBP", "a WebP"),
    KIND(0, "II*\0", "a TIFF"),
    KIND(0, "MM\0*", "a TIFF"),
    KIND(0, "II+\0", "a BigTIFF"),
    KIND(0, "MM\0+", "a BigTIFF"),
    KIND(4, "ftyphe", "a HEIC"),
    KIND(4, "ftypmif1", "a HEIF"),
    KIND(4, "ftypmsf1", "a HEIF"),
    KIND(4, "ftypavi", "an AVIF"),
    NO_PICTURE(4, "ftyp", "a video (MP4, QuickTime)"),
    KIND(4, "jP  \r\n\x87\n", "a JPEG 2000"),
    KIND(0, "\xff\x4f\xff\x51", "a JPEG 2000"),
    KIND(4, "JXL \r\n\x87\n", "a JPEG XL"),
    KIND(0, "\xff\x0a", "a JPEG XL"),
    KIND(0, "8BPS", "a Photoshop document"),
    KIND(0, "\0\0\1\0", "an icon (ICO)"),
    NO_PICTURE(0, "\0\5\x16\7", "macOS's companion of a file (AppleDouble)"),
    KIND(128, "DICM", "a DICOM"),
    KIND(0, "P5", "a PGM"),
    KIND(0, "P6", "a PPM"),
    NO_PICTURE(0, "%PDF", "a PDF"),
    NO_PICTURE(0, "\x1f\x8b", "compressed by gzip"),
    NO_PICTURE(0, "PK\3\4", "a zip archive"),
    NO_PICTURE(0, "version https://git-lfs", "a Git LFS pointer (`git lfs pull` brings the file)"),
};

static const char *const markup[][2] = {
    { "<!doctype html", "an HTML page" }, { "<html", "an HTML page" },
    { "<svg", "an SVG" },                 { "<?xml", "XML" },
};

/* `text` stands at the front, after white space and a byte order mark, whatever the case of its letters. */
static bool begins(const uint8_t *bytes, size_t size, const char *text)
{
    size_t i = size >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3) ? 3 : 0;
    while (i < size && (bytes[i] == ' ' || (bytes[i] >= '\t' && bytes[i] <= '\r'))) i++;
    for (; *text && i < size; text++, i++)
        if ((bytes[i] >= 'A' && bytes[i] <= 'Z' ? bytes[i] - 'A' + 'a' : bytes[i]) != *text) return false;
    return !*text;
}

/* Begins in ASCII, and has no control characters there. */
static bool is_text(const uint8_t *bytes, size_t size)
{
    if (bytes[0] > '~') return false;
    for (size_t i = 0; i < size && i < 512; i++)
        if (bytes[i] < ' ' && !(bytes[i] >= '\t' && bytes[i] <= '\r')) return false;
    return true;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i]) return false;
    return true;
}

/* What the content is; what == NULL if that cannot be told. */
static struct kind kind_of(const uint8_t *bytes, size_t size)
{
    for (const struct kind *k = kinds; k < kinds + RN_COUNT(kinds); k++)
        if (k->at + k->count <= size && !memcmp(bytes + k->at, k->bytes, k->count)) return *k;
    if (size >= 26 && !memcmp(bytes, "BM", 2) && !memcmp(bytes + 6, "\0\0\0\0", 4))
        return (struct kind){ .what = "a BMP", .picture = true };
    for (size_t i = 0; i < RN_COUNT(markup); i++)
        if (begins(bytes, size, markup[i][0])) return (struct kind){ .what = markup[i][1] };
    const char *what = !size                  ? "empty"
                       : is_zero(bytes, size) ? "nothing but zero bytes"
                       : is_text(bytes, size) ? "text"
                                              : NULL;
    return (struct kind){ .what = what };
}

static rn_status fail_kind(const struct rn_source *s, const struct kind *kind)
{
    if (kind->picture)
        return rn_fail(RN_EINPUT, "%s: is %s, which is not supported: only JPEG and PNG are read", s->name,
                       kind->what);
    if (kind->what) return rn_fail(RN_EINPUT, "%s: is %s, and no picture", s->name, kind->what);
    char front[3 * 8 + 1] = "";
    for (size_t i = 0; i < s->size && i < 8; i++) snprintf(front + 3 * i, 4, " %02x", s->bytes[i]);
    return rn_fail(RN_EINPUT, "%s: is neither JPEG nor PNG: it begins with%s", s->name, front);
}

/* -- reading ----------------------------------------------------------------------------------- */

/* By what the content is. */
static rn_status decode(struct rn_source *s, const char *name)
{
    rn_printable(s->name, sizeof s->name, name, strlen(name));
    const struct kind kind = kind_of(s->bytes, s->size);
    return kind.decode ? kind.decode(s) : fail_kind(s, &kind);
}

rn_status rn_image_decode(struct rn_image *image, const uint8_t *bytes, size_t size, const char *name)
{
    struct rn_source s = { .bytes = bytes, .size = size, .orientation = 1, .image = image };
    *image = (struct rn_image){ 0 };
    rn_status status = decode(&s, name);
    if (status) rn_image_free(image);
    return status;
}

rn_status rn_image_size(int *width, int *height, const uint8_t *bytes, size_t size, const char *name)
{
    struct rn_source s = { .bytes = bytes, .size = size, .orientation = 1, .header_only = true };
    rn_status status = decode(&s, name);
    const bool turned = s.orientation > 4;
    *width = status ? 0 : turned ? s.height : s.width;
    *height = status ? 0 : turned ? s.width : s.height;
    return status;
}

rn_status rn_image_read(struct rn_image *image, const char *path)
{
    unsigned char *bytes;
    size_t size;
    *image = (struct rn_image){ 0 };
    rn_status status = rn_file_read(&bytes, &size, path, RN_IMAGE_MAX_BYTES);
    if (!status) status = rn_image_decode(image, bytes, size, path);
    rn_free(bytes);
    return status;
}

const char *rn_image_libraries(void)
{
    static _Thread_local char both[96];
    const char *one = rn_jpeg_library(), *two = rn_png_library();
    snprintf(both, sizeof both, "%s%s%s", one ? one : "", one && two ? ", " : "", two ? two : "");
    return *both ? both : "none";
}
