/*
 * image_png.c - PNG files through libpng: every colour type and depth, interlaced or not.
 *
 * The file is walked once before the library sees it: every chunk must lie inside it, have the checksum
 * that it claims, and the last be IEND.  The library is then given the critical chunks alone, so that
 * profiles, texts and the like, compressed or not, are never unpacked.  As with Pillow's convert("RGB"):
 * transparency is dropped without blending, gamma and profiles are not looked at, and of 16 bits the high 8
 * stay.
 * Source: W3C, Portable Network Graphics Specification (Third Edition).
 */
#include "data/image_codec.h"

#ifndef RN_HAVE_PNG

rn_status rn_png_decode(struct rn_source *s)
{
    return rn_fail(RN_EINPUT,
                   "%s: is a PNG, and this build has no libpng: `sh tools/setup.sh images && make` "
                   "(libpng-dev of Debian and Alpine, libpng-devel of Fedora, libpng of brew)",
                   s->name);
}

const char *rn_png_library(void)
{
    return NULL;
}

#else

#include "base/mem.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include <png.h>

#define SIGNATURE 8
#define FRAME 12         /* of a chunk: length, name, checksum */
#define HEADER 13        /* bytes of IHDR */
#define DEFLATE_MOST 1032 /* bytes that one byte of deflate can stand for, at most */

struct work {
    png_structp png;
    png_infop info;
    struct rn_source *s;
    size_t next, left;    /* the chunk to come, and what is left of the one before */
    size_t end;           /* of IEND */
    uint64_t packed;      /* bytes of IDAT */
    uint8_t *rows, *row;  /* as the library gives them; [width][3] */
    rn_status status;
    jmp_buf jump;
};

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* -- the walk ---------------------------------------------------------------------------------- */

static rn_status check_chunk(const struct rn_source *s, size_t at)
{
    const uint8_t *p = s->bytes + at;
    if (s->size - at < FRAME)
        return rn_fail(RN_EINPUT, "%s: is cut off: a PNG ends with IEND, this one with byte %zu", s->name,
                       s->size);
    for (int i = 4; i < 8; i++)
        if ((p[i] | 32) < 'a' || (p[i] | 32) > 'z')
            return rn_fail(RN_EINPUT, "%s: damaged: no chunk's name at byte %zu", s->name, at + 4);
    const uint32_t length = get32(p);
    if (length > s->size - at - FRAME)
        return rn_fail(RN_EINPUT, "%s: is cut off: chunk %.4s at byte %zu has %u bytes, the file %zu",
                       s->name, (const char *)p + 4, at, (unsigned)length, s->size);
    if (crc32(0, p + 4, length + 4) != get32(p + 8 + length))
        return rn_fail(RN_EINPUT, "%s: damaged: chunk %.4s at byte %zu has not the checksum that it says",
                       s->name, (const char *)p + 4, at);
    return RN_OK;
}

/* Bytes of a filtered row, or a little less. */
static uint64_t row_bytes(const uint8_t *header)
{
    static const int channels[7] = { 1, 0, 3, 1, 2, 0, 4 };
    int each = header[9] < RN_COUNT(channels) ? channels[header[9]] : 0;
    return (uint64_t)get32(header) * (unsigned)(each * header[8]) / 8 + 1;
}

static rn_status check_header(struct rn_source *s)
{
    const uint8_t *p = s->bytes + SIGNATURE;
    if (get32(p) != HEADER || memcmp(p + 4, "IHDR", 4))
        return rn_fail(RN_EINPUT, "%s: damaged: a PNG begins with IHDR, this one does not", s->name);
    return rn_source_size(s, get32(p + 8), get32(p + 12));
}

static rn_status walk(struct work *w)
{
    struct rn_source *s = w->s;
    rn_status status = RN_OK;
    for (size_t at = SIGNATURE; !w->end; at += FRAME + get32(s->bytes + at)) {
        if ((status = check_chunk(s, at))) return status;
        if (at == SIGNATURE && (status = check_header(s))) return status;
        const uint8_t *p = s->bytes + at;
        if (!memcmp(p + 4, "IEND", 4)) w->end = at + FRAME + get32(p);
        if (!memcmp(p + 4, "IDAT", 4)) w->packed += get32(p);
        if (!memcmp(p + 4, "eXIf", 4)) s->orientation = rn_exif_orientation(p + 8, get32(p));
    }
    if (row_bytes(s->bytes + SIGNATURE + 8) * (uint64_t)s->height > (w->packed + 1) * DEFLATE_MOST)
        return rn_fail(RN_EINPUT, "%s: damaged: %d x %d pixels cannot be in %ju bytes of IDAT", s->name,
                       s->width, s->height, (uintmax_t)w->packed);
    return RN_OK;
}

/* -- the library ------------------------------------------------------------------------------- */

static _Noreturn void leave(struct work *w, rn_status status)
{
    w->status = status;
    longjmp(w->jump, 1);
}

static _Noreturn void on_error(png_structp png, const char *text)
{
    struct work *w = png_get_error_ptr(png);
    leave(w, rn_fail(RN_EINPUT, "%s: damaged: libpng: %s", w->s->name, text));
}

static void on_warning(png_structp png, const char *text)
{
    (void)png, (void)text;
}

static void *allocate(png_structp png, png_alloc_size_t bytes)
{
    struct work *w = png_get_mem_ptr(png);
    void *p = rn_alloc(bytes);
    if (!p && w->png) leave(w, rn_fail_in(RN_ENOMEM, w->s->name)); /* which the library would call damage */
    return p;
}

static void release(png_structp png, void *p)
{
    (void)png;
    rn_free(p);
}

/* The signature and the critical chunks, which are those with a capital letter, as if nothing else were
 * there. */
static void give(png_structp png, png_bytep out, size_t count)
{
    struct work *w = png_get_io_ptr(png);
    const uint8_t *bytes = w->s->bytes;
    while (count) {
        while (!w->left && w->next < w->end) {
            size_t chunk = FRAME + get32(bytes + w->next);
            if (!(bytes[w->next + 4] & 32)) w->left = chunk;
            w->next += chunk;
        }
        if (!w->left) png_error(png, "more is wanted than there is");
        size_t n = RN_MIN(count, w->left);
        memcpy(out, bytes + w->next - w->left, n);
        w->left -= n;
        out += n;
        count -= n;
    }
}

/* -- pixels ------------------------------------------------------------------------------------ */

/* Asks for 8 bits and no alpha: grey, index or RGB, `channels` bytes a pixel. */
static int ask(struct work *w)
{
    const int type = png_get_color_type(w->png, w->info);
    const int channels = type & PNG_COLOR_MASK_COLOR && type != PNG_COLOR_TYPE_PALETTE ? 3 : 1;
    png_set_strip_16(w->png);
    if (type == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(w->png);
    if (type == PNG_COLOR_TYPE_PALETTE) png_set_packing(w->png);
    if (type & PNG_COLOR_MASK_ALPHA) png_set_strip_alpha(w->png);
    return channels;
}

/* [width][3] of a row; an index that the palette does not have is damage. */
static const uint8_t *row_of(struct work *w, const uint8_t *from, int channels, const png_color *palette,
                             int colours)
{
    if (channels == 3) return from;
    for (int x = 0; x < w->s->width; x++) {
        uint8_t *rgb = w->row + 3 * (size_t)x;
        if (!palette) {
            memset(rgb, from[x], 3);
            continue;
        }
        if (from[x] >= colours)
            leave(w, rn_fail(RN_EINPUT, "%s: damaged: colour %d of a palette of %d", w->s->name, from[x],
                             colours));
        const png_color *p = &palette[from[x]];
        rgb[0] = p->red, rgb[1] = p->green, rgb[2] = p->blue;
    }
    return w->row;
}

static void decode(struct work *w)
{
    struct rn_source *s = w->s;
    png_colorp palette = NULL;
    int colours = 0;
    png_read_info(w->png, w->info);
    if (s->header_only) return;
    const int channels = ask(w), passes = png_set_interlace_handling(w->png);
    png_read_update_info(w->png, w->info);
    const size_t stride = (size_t)s->width * (size_t)channels;
    if (png_get_rowbytes(w->png, w->info) != stride) png_error(w->png, "rows of an unexpected length");
    if (png_get_color_type(w->png, w->info) == PNG_COLOR_TYPE_PALETTE)
        png_get_PLTE(w->png, w->info, &palette, &colours);
    /* The passes of an interlaced picture fill it bit by bit, so it has to stand somewhere. */
    w->rows = rn_alloc_array(passes > 1 ? (size_t)s->height : 1, stride);
    w->row = rn_alloc_array(3, (size_t)s->width);
    rn_status status = w->rows && w->row ? rn_source_begin(s) : rn_fail_in(RN_ENOMEM, s->name);
    if (status) leave(w, status);
    for (int pass = 0; pass < passes; pass++)
        for (int y = 0; y < s->height; y++) {
            uint8_t *row = w->rows + (passes > 1 ? (size_t)y * stride : 0);
            png_read_row(w->png, row, NULL);
            if (pass == passes - 1) rn_source_row(s, y, row_of(w, row, channels, palette, colours));
        }
    png_read_end(w->png, NULL);
}

/* Apart from the function that owns *w, whose fields must keep their values over the jump. */
static void decode_or_leave(struct work *w)
{
    if (setjmp(w->jump)) return;
    w->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, w, on_error, on_warning, w, allocate, release);
    w->info = w->png ? png_create_info_struct(w->png) : NULL;
    if (!w->info) leave(w, rn_fail(RN_ENOMEM, "%s: out of memory for libpng", w->s->name));
    png_set_read_fn(w->png, w, give);
    png_set_user_limits(w->png, (png_uint_32)w->s->width, (png_uint_32)w->s->height);
    png_set_crc_action(w->png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE); /* the walk has checked them */
    decode(w);
}

rn_status rn_png_decode(struct rn_source *s)
{
    struct work w = { .s = s, .next = SIGNATURE, .left = SIGNATURE };
    rn_status status = walk(&w);
    if (status) return status;
    decode_or_leave(&w);
    png_destroy_read_struct(&w.png, &w.info, NULL);
    rn_free(w.rows);
    rn_free(w.row);
    return w.status;
}

const char *rn_png_library(void)
{
    return "libpng " PNG_LIBPNG_VER_STRING;
}

#endif /* RN_HAVE_PNG */
