/*
 * image_jpeg.c - JPEG files through libjpeg-turbo's classic interface: baseline and progressive, grey, YCbCr,
 * RGB, CMYK and YCCK.
 *
 * The exact integer transform and the smooth upsampling of chroma are chosen, which are also Pillow's.  A
 * file whose data ends early or makes no sense is refused at that point; the library would fill up with
 * grey and go on. What the library says about bytes between the data and the next marker, or about unknown
 * versions of headers, concerns no pixel and is passed over.
 */
#include "data/image_codec.h"

#ifndef RN_HAVE_JPEG

rn_status rn_jpeg_decode(struct rn_source *s)
{
    return rn_fail(RN_EINPUT,
                   "%s: is a JPEG, and this build has no libjpeg-turbo: `sh tools/setup.sh images && make` "
                   "(libjpeg-dev of Debian, libjpeg-turbo-devel of Fedora, libjpeg-turbo-dev of Alpine, "
                   "jpeg-turbo of brew)",
                   s->name);
}

const char *rn_jpeg_library(void)
{
    return NULL;
}

#else

#include "base/mem.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

#define MAX_SCANS 100                /* of a progressive file; encoders write 10 or so */
#define MAX_MEMORY ((long)1 << 30)   /* that the library may take: coefficients of the largest picture fit */
#define MAX_BLOCK ((uint64_t)32 * 32) /* pixels that the least unit of data, one bit, can stand for */

struct work {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr error;
    struct jpeg_source_mgr input;
    struct jpeg_progress_mgr progress;
    struct rn_source *s;
    uint8_t *row; /* [width][components], then [width][3] */
    rn_status status;
    jmp_buf jump;
};

/* The library's pointers to its parts lead back to the whole. */
static struct work *work_of(j_common_ptr jpeg)
{
    return jpeg->client_data;
}

static size_t place(const struct work *w)
{
    return w->s->size - w->input.bytes_in_buffer;
}

/* Ends decoding with w->status; the message is set. */
static _Noreturn void leave(struct work *w, rn_status status)
{
    w->status = status;
    longjmp(w->jump, 1);
}

static _Noreturn void on_error(j_common_ptr jpeg)
{
    struct work *w = work_of(jpeg);
    char text[JMSG_LENGTH_MAX];
    w->error.format_message(jpeg, text);
    if (w->error.msg_code == JERR_OUT_OF_MEMORY)
        leave(w, rn_fail(RN_ENOMEM, "%s: out of memory: libjpeg: %s", w->s->name, text));
    leave(w, rn_fail(RN_EINPUT, "%s: damaged near byte %zu: libjpeg: %s", w->s->name, place(w), text));
}

/* Warnings have level -1, and mean that pixels are guessed, but for these. */
static void on_message(j_common_ptr jpeg, int level)
{
    switch (jpeg->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR:
    case JWRN_ADOBE_XFORM:
    case JWRN_NOT_SEQUENTIAL:
        return;
    default:
        if (level < 0) on_error(jpeg);
    }
}

static void on_progress(j_common_ptr jpeg)
{
    struct work *w = work_of(jpeg);
    if (w->jpeg.input_scan_number > MAX_SCANS)
        leave(w, rn_fail(RN_EINPUT, "%s: has more than %d scans", w->s->name, MAX_SCANS));
}

static void do_nothing(j_decompress_ptr jpeg)
{
    (void)jpeg;
}

/* The whole file is in the buffer at first, so that whoever asks for more asks beyond its end. */
static boolean no_more(j_decompress_ptr jpeg)
{
    struct work *w = work_of((j_common_ptr)jpeg);
    const struct rn_source *s = w->s;
    leave(w, rn_fail(RN_EINPUT, "%s: is cut off: the JPEG goes on after its last byte, %zu", s->name, s->size));
}

static void skip(j_decompress_ptr jpeg, long bytes)
{
    if (bytes <= 0) return;
    if ((unsigned long)bytes > jpeg->src->bytes_in_buffer) no_more(jpeg);
    jpeg->src->next_input_byte += bytes;
    jpeg->src->bytes_in_buffer -= (size_t)bytes;
}

/* The orientation in the first EXIF segment before the picture's data. */
static int orientation_of(const uint8_t *p, size_t size)
{
    for (size_t at = 2; size - at >= 4 && p[at] == 0xff;) {
        size_t length = (size_t)p[at + 2] << 8 | p[at + 3];
        int marker = p[at + 1];
        if (marker == 0xff) { /* filling */
            at++;
            continue;
        }
        if (marker == 0xda || length < 2 || length > size - at - 2) break;
        if (marker == 0xe1 && length >= 8 && !memcmp(p + at + 4, "Exif\0", 6))
            return rn_exif_orientation(p + at + 10, length - 8);
        at += 2 + length;
    }
    return 1;
}

static void check_header(struct work *w)
{
    struct rn_source *s = w->s;
    const struct jpeg_decompress_struct *jpeg = &w->jpeg;
    const int components = jpeg->num_components;
    rn_status status = rn_source_size(s, jpeg->image_width, jpeg->image_height);
    if (status) leave(w, status);
    if (jpeg->data_precision != 8)
        leave(w, rn_fail(RN_EINPUT, "%s: has %d bits a sample; 8 are read", s->name, jpeg->data_precision));
    if (components != 1 && components != 3 && components != 4)
        leave(w, rn_fail(RN_EINPUT, "%s: has %d components; 1, 3 and 4 are read", s->name, components));
    if (!jpeg->arith_code && (uint64_t)s->width * (uint64_t)s->height > (uint64_t)s->size * 8 * MAX_BLOCK)
        leave(w, rn_fail(RN_EINPUT, "%s: damaged: %d x %d pixels cannot be in %zu bytes", s->name, s->width,
                         s->height, s->size));
}

/* a b / 255, rounded, for 0 <= a, b <= 255. */
static int part_of(int a, int b)
{
    int product = a * b + 128;
    return (product + (product >> 8)) >> 8;
}

/* Adobe's inverted ink (all four-component files are taken for that, as Pillow does) to light, in place. */
static void cmyk_to_rgb(uint8_t *row, int width)
{
    for (int x = 0; x < width; x++) {
        int light = row[4 * x + 3];
        for (int c = 0; c < 3; c++) row[3 * x + c] = (uint8_t)(light - part_of(255 - row[4 * x + c], light));
    }
}

static void grey_to_rgb(uint8_t *row, int width)
{
    for (int x = width - 1; x >= 0; x--) memset(row + 3 * x, row[x], 3);
}

static void decode(struct work *w)
{
    struct jpeg_decompress_struct *jpeg = &w->jpeg;
    struct rn_source *s = w->s;
    jpeg_read_header(jpeg, TRUE);
    check_header(w);
    s->orientation = orientation_of(s->bytes, s->size);
    if (s->header_only) return;
    jpeg->out_color_space = jpeg->num_components == 1   ? JCS_GRAYSCALE
                            : jpeg->num_components == 3 ? JCS_RGB
                                                        : JCS_CMYK;
    jpeg->dct_method = JDCT_ISLOW;
    jpeg->do_fancy_upsampling = TRUE;
    jpeg_start_decompress(jpeg);
    w->row = rn_alloc((size_t)s->width * 4);
    rn_status status = w->row ? rn_source_begin(s) : rn_fail_in(RN_ENOMEM, s->name);
    if (status) leave(w, status);
    for (int y = 0; y < s->height; y++) {
        JSAMPROW row = w->row;
        if (jpeg_read_scanlines(jpeg, &row, 1) != 1) no_more(jpeg);
        if (jpeg->num_components == 1) grey_to_rgb(w->row, s->width);
        if (jpeg->num_components == 4) cmyk_to_rgb(w->row, s->width);
        rn_source_row(s, y, w->row);
    }
    jpeg_finish_decompress(jpeg);
}

/* Apart from the function that owns *w, whose fields must keep their values over the jump. */
static void decode_or_leave(struct work *w)
{
    if (setjmp(w->jump)) return;
    jpeg_create_decompress(&w->jpeg);
    w->jpeg.src = &w->input;
    w->jpeg.progress = &w->progress;
    w->jpeg.mem->max_memory_to_use = MAX_MEMORY;
    decode(w);
}

rn_status rn_jpeg_decode(struct rn_source *s)
{
    struct work w = { .s = s };
    w.jpeg.err = jpeg_std_error(&w.error);
    w.jpeg.client_data = &w;
    w.error.error_exit = on_error;
    w.error.emit_message = on_message;
    w.progress.progress_monitor = on_progress;
    w.input = (struct jpeg_source_mgr){ .next_input_byte = s->bytes, .bytes_in_buffer = s->size,
                                        .init_source = do_nothing, .fill_input_buffer = no_more,
                                        .skip_input_data = skip, .resync_to_restart = jpeg_resync_to_restart,
                                        .term_source = do_nothing };
    decode_or_leave(&w);
    jpeg_destroy_decompress(&w.jpeg);
    rn_free(w.row);
    return w.status;
}

const char *rn_jpeg_library(void)
{
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
#ifdef LIBJPEG_TURBO_VERSION
    return "libjpeg-turbo " TEXT(LIBJPEG_TURBO_VERSION);
#else
    return "libjpeg " TEXT(JPEG_LIB_VERSION);
#endif
}

#endif /* RN_HAVE_JPEG */
